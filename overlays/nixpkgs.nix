# nixpkgs with our overlay, for this flake's own packages. The hosts have theirs.
{ self, nixpkgs }:
let
  inherit (nixpkgs) lib;

  # CUDA, and nothing else that is unfree.
  isFreeOrCuda =
    license:
    license.free or false
    || lib.elem (license.shortName or null) [
      "CUDA EULA"
      "cuDNN EULA"
    ];
in
lib.genAttrs
  [
    "x86_64-linux"
    "aarch64-linux"
  ]
  (
    system:
    import nixpkgs {
      inherit system;
      overlays = [ self.overlays.llama-cpp ];
      config.allowUnfreePredicate = package: lib.all isFreeOrCuda (lib.toList package.meta.license);
    }
  )
