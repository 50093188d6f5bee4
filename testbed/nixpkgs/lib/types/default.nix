# Option types. base.nix makes one, scalars.nix holds plain values, compound.nix
# types of types, submodule.nix modules within options.
{ lib }:
let
  call = file: import file { inherit lib; };
in
call ./base.nix // call ./scalars.nix // call ./compound.nix // call ./submodule.nix
