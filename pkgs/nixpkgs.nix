# nixpkgs with this flake's overlay, for each system, for the flake's own packages. Each host
# has its own nixpkgs.
{ self, nixpkgs }:
let
  inherit (nixpkgs) lib;

  # For a nixpkgs without `allowUnfreeCudaPredicate`.
  isFreeOrCuda =
    package:
    lib.all (
      license:
      license.free or false
      || lib.elem (license.shortName or null) [
        "CUDA EULA"
        "cuDNN EULA"
      ]
    ) (lib.toList package.meta.license);
in
lib.genAttrs
  [
    "x86_64-linux"
    "aarch64-linux"
  ]
  (
    system:
    let
      pkgs = import nixpkgs {
        inherit system;
        overlays = [ self.overlays.llama-cpp ];
        # Of the unfree packages, only the CUDA libraries.
        config.allowUnfreePredicate =
          package: (pkgs._cuda.lib.allowUnfreeCudaPredicate or isFreeOrCuda) package;
      };
    in
    pkgs
  )
