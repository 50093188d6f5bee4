# Packages that the evaluated files refer to, but the testbed cannot provide.
{ lib, pkgs }:
let
  missing = what: throw "the testbed's nixpkgs has no ${what}";
in
{
  dockerTools = missing "dockerTools";
  singularity-tools = missing "singularity-tools";
  pkgsCross = missing "cross compilers (pkgsCross)";
  pkgsStatic = missing "static package set (pkgsStatic)";
  # package.nix evaluates this one on Linux, too, but does not use it.
  darwin.apple_sdk.frameworks = lib.genAttrs [
    "Accelerate"
    "CoreGraphics"
    "CoreVideo"
    "MetalKit"
  ] (name: missing "darwin.apple_sdk.frameworks.${name}");
}
