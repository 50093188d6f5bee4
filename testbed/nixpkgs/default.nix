# `import nixpkgs { … }`, with Nixpkgs' calling convention.
#
# Nixpkgs has no `lib` argument. The tests use it to compare the derivations of this
# lib with those of Nixpkgs' lib.
{
  lib ? import ./lib,
  system ? null,
  localSystem ? if system == null then builtins.currentSystem else system,
  crossSystem ? null,
  config ? { },
  overlays ? [ ],
}:
if crossSystem != null && crossSystem != localSystem then
  throw "the testbed's nixpkgs cannot cross-compile (crossSystem was set)"
else
  import ./pkgs {
    inherit
      lib
      localSystem
      config
      overlays
      ;
  }
