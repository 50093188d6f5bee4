# The module system: collect.nix loads modules, merge.nix and options.nix merge
# declarations and definitions, eval.nix is `evalModules`, properties.nix is `mkIf` and
# the like, rename.nix is for options that move.
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
