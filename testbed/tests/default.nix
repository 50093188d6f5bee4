# All evaluation tests of the testbed's lib, as `{ passed, failures }`:
#
#   nix eval --json --file testbed/tests/default.nix
import ./run.nix { lib = import ../nixpkgs/lib; }
