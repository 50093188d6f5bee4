# Differences between versions of nixpkgs, which must have no effect; the overlay in another flake.
{
  flake,
  lib,
  pkgs,
  pkgsWith,
  ...
}:
let
  # This overlay on a nixpkgs with the overlay `before`.
  pkgsAfter =
    before:
    pkgsWith {
      overlays = [
        before
        flake.overlays.default
      ];
    };
  withCuda = change: pkgsAfter (_final: prev: { cudaPackages = change prev.cudaPackages; });

  cudaWithout =
    name:
    (withCuda (cudaPackages: removeAttrs cudaPackages [ name ])).mkLlamaCpp {
      backends = [ "cuda" ];
      cudaCapabilities = [ "8.6" ];
    };

  # A CUDA package that is broken, so that its licence is not the reason of the error.
  brokenCuda = withCuda (
    cudaPackages:
    cudaPackages
    // {
      cuda_cudart = cudaPackages.cuda_cudart.overrideAttrs (prev: {
        meta = prev.meta // {
          broken = true;
        };
      });
    }
  );

  withoutHipClangPath = pkgsAfter (
    _final: prev: {
      rocmPackages = prev.rocmPackages // {
        clr = removeAttrs prev.rocmPackages.clr [ "hipClangPath" ];
      };
    }
  );

  # A variant with another package.nix than upstream's current one.
  fromAnother =
    args:
    let
      source = flake.inputs.llama-cpp;
      llama-cpp = lib.makeOverridable (
        {
          cudaPackages ? null,
          useCuda ? false,
          useRocm ? false,
        }:
        pkgs.stdenv.mkDerivation {
          name = "llama-cpp";
          cmakeFlags = [
            (lib.cmakeBool "GGML_HIP" useRocm)
          ]
          ++ lib.optional useCuda (
            lib.cmakeFeature "CMAKE_CUDA_ARCHITECTURES" cudaPackages.flags.cmakeCudaArchitecturesString
          );
        }
      ) { };
      variants = import ../overlays/llama-cpp/variant.nix {
        inherit source;
        sources = import ../overlays/llama-cpp/sources.nix { inherit source; };
        pkgs = pkgs // {
          callPackage =
            file: args:
            if lib.hasSuffix "scope.nix" (toString file) then
              { inherit llama-cpp; }
            else
              pkgs.callPackage file args;
        };
      };
    in
    variants.mkLlamaCpp (args // { modular = false; });
in
{
  # The name is cuda_cccl until 2026, and cccl since. llama.cpp uses the name of its time, with any
  # nixpkgs.
  "CUDA's headers have either name" = {
    expr =
      lib.all
        (
          name:
          let
            package = cudaWithout name;
          in
          lib.elem pkgs.cudaPackages.cuda_cccl package.parts.ggml-cuda-sm86.buildInputs
        )
        [
          "cccl"
          "cuda_cccl"
        ];
    expected = true;
  };
  # Upstream's package.nix reads `dropDot` and `cudaCapabilities`, that of nixpkgs this one.
  "CUDA is compiled for the named GPUs by whichever of nixpkgs' names" = {
    expr =
      lib.filter (lib.hasPrefix "-DCMAKE_CUDA_ARCH")
        (fromAnother {
          backends = [ "cuda" ];
          cudaCapabilities = [
            "7.5"
            "12.0"
          ];
        }).cmakeFlags;
    expected = [ "-DCMAKE_CUDA_ARCHITECTURES:STRING=120;75" ];
  };
  "ROCm's targets are a dropped argument only if they are chosen" = {
    expr =
      map
        (
          rocmTargets:
          lib.elem "rocmGpuTargets"
            (fromAnother {
              backends = [ "rocm" ];
              inherit rocmTargets;
            }).llamaCpp.droppedArguments
        )
        [
          [ ]
          [ "gfx906" ]
        ];
    expected = [
      false
      true
    ];
  };
  "a Mac keeps nixpkgs' package" = {
    expr =
      let
        mac = pkgsWith { system = "aarch64-darwin"; };
      in
      [
        (mac.llama-cpp ? llamaCpp)
        (mac.mkLlamaCpp.problems { } lib.id)
      ];
    expected = [
      false
      [
        "backends selects a llama.cpp that is not available on aarch64-darwin, only on Linux; use nixpkgs' llama-cpp there."
      ]
    ];
  };
  "broken CUDA is not reported as unfree" = {
    expr = brokenCuda.mkLlamaCpp.problems { backends = [ "cuda" ]; } lib.id;
    expected = [ ];
  };
  # Upstream uses a compiler without a linker. An older nixpkgs has no hipClangPath.
  "HIP's compiler is the one with its linker and bundler beside it" = {
    expr =
      lib.concatMap
        (
          nixpkgs:
          map
            (
              modular:
              let
                package = nixpkgs.mkLlamaCpp {
                  backends = [ "rocm" ];
                  rocmTargets = [ "gfx906" ];
                  inherit modular;
                };
                built = if modular then package.parts.ggml-rocm-gfx906 else package;
              in
              lib.filter (lib.hasPrefix "-DCMAKE_HIP_COMPILER") built.cmakeFlags
            )
            [
              true
              false
            ]
        )
        [
          pkgs
          withoutHipClangPath
        ];
    expected =
      let
        flag = path: [ "-DCMAKE_HIP_COMPILER:STRING=${path}" ];
        ours = flag "${pkgs.rocmPackages.clr.hipClangPath}/clang++";
        upstreams = flag "${pkgs.rocmPackages.llvm.clang}/bin/clang";
      in
      [
        ours
        ours
        upstreams
        upstreams
      ];
  };
  # docs/guide.md lists the folders to copy.
  "the overlay's folder can be copied without the rest" = {
    expr =
      let
        copy = builtins.path {
          name = "copy";
          path = ../.;
          filter = path: _type: lib.hasPrefix (toString ../overlays) path;
        };
        overlays = import (copy + "/overlays") { inherit (flake.inputs) llama-cpp; };
      in
      ((pkgsWith { overlays = [ overlays.default ]; }).mkLlamaCpp { microarch = "znver4"; })
      .llamaCpp.variant;
    expected = "cpu-znver4";
  };
  # Like `rocmPackages.gfx1151`: libraries for one GPU, although `gpuTargets` lists all.
  "ROCm is compiled for what its libraries are built for" = {
    expr =
      let
        package =
          (pkgsAfter (
            _final: prev: {
              rocmPackages = prev.rocmPackages // {
                clr = prev.rocmPackages.clr // {
                  localGpuTargets = [ "gfx1151" ];
                };
              };
            }
          )).llama-cpp-rocm;
      in
      {
        inherit (package.llamaCpp) rocmTargets rocmLibraryTargets;
        flags = lib.filter (lib.hasPrefix "-DCMAKE_HIP_ARCH") package.parts.ggml-rocm.cmakeFlags;
      };
    expected = {
      rocmTargets = [ "gfx1151" ];
      rocmLibraryTargets = [ "gfx1151" ];
      flags = [ "-DCMAKE_HIP_ARCHITECTURES:STRING=gfx1151" ];
    };
  };
  # Dependents disable features with arguments that upstream's package lacks. The features are off
  # anyway.
  "arguments of nixpkgs that mean nothing here change nothing" = {
    expr =
      map
        (
          args:
          let
            package = pkgs.llama-cpp.override args;
          in
          [
            (package.drvPath == pkgs.llama-cpp.drvPath)
            package.llamaCpp.droppedArguments
          ]
        )
        [
          {
            cpuArchDynamicDispatch = true;
            openclSupport = false;
          }
          {
            blasSupport = false;
            metalSupport = false;
            rocmSupport = false;
            rpcSupport = false;
          }
        ];
    expected = [
      [
        true
        [
          "cpuArchDynamicDispatch"
          "openclSupport"
        ]
      ]
      [
        true
        [ ]
      ]
    ];
  };
}
