# Option types: base.nix has `mkOptionType`, scalars.nix plain values, compound.nix types
# with element types, submodule.nix nested modules.
{ lib }:
let
  call = file: import file { inherit lib; };
in
call ./base.nix // call ./scalars.nix // call ./compound.nix // call ./submodule.nix
