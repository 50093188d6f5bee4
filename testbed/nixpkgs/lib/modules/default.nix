# The module system. collect.nix loads modules, merge.nix puts declarations and
# definitions together, eval.nix ties the knot, properties.nix holds `mkIf` and
# its kin, rename.nix helps options that move.
{ lib }:
let
  call = file: import file { inherit lib; };
in
call ./properties.nix
// call ./collect.nix
// call ./merge.nix
// call ./options.nix
// call ./eval.nix
// call ./rename.nix
