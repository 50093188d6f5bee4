# `import nixpkgs { … }`, with Nixpkgs' calling convention.
#
# `lib` is an argument that Nixpkgs does not have: the tests put the real lib in
# and hold that every derivation comes out the same.
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
