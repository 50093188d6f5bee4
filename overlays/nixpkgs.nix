# nixpkgs with our overlay, for this flake's own packages. The hosts have theirs.
{ self, nixpkgs }:
let
  inherit (nixpkgs) lib;

  # For nixpkgs that do not bring this predicate.
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
        # CUDA, and nothing else that is unfree.
        config.allowUnfreePredicate =
          package: (pkgs._cuda.lib.allowUnfreeCudaPredicate or isFreeOrCuda) package;
      };
    in
    pkgs
  )
