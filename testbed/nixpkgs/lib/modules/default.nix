# The module system: collect.nix loads modules, merge.nix and options.nix merge declarations and
# definitions, eval.nix has `evalModules`, properties.nix `mkIf` and similar functions, rename.nix
# functions for renamed options.
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
