# The packages of `mkLlamaCpp`, with the locked llama.cpp.
{
  flake,
  lib,
  pkgs,
  pkgsWith,
  ...
}:
let
  inherit (flake.inputs) llama-cpp;

  arm = pkgsWith { system = "aarch64-linux"; };

  make = pkgs.mkLlamaCpp;
  flagsOf = package: package.llamaCpp.cmakeFlags;
  has = flag: package: lib.elem flag (flagsOf package);
  names = package: map (flag: lib.head (lib.splitString ":" flag)) (flagsOf package);
  passes = name: package: lib.elem "-D${name}" (names package);

  # The arguments of this revision's package.nix.
  accepts = lib.functionArgs (import "${llama-cpp}/.devops/nix/package.nix");

  tigerlake = make {
    backends = [ "cuda" ];
    microarch = "tigerlake";
    cudaCapabilities = [ "7.5" ];
  };
  server = make {
    backends = [
      "cuda"
      "rocm"
    ];
    cudaCapabilities = [ "8.6" ];
    rocmTargets = [
      "gfx906"
      "gfx1100"
    ];
  };
  several = [
    pkgs.llama-cpp-cpu
    pkgs.llama-cpp-cuda
    pkgs.llama-cpp-rocm
    pkgs.llama-cpp-vulkan
    tigerlake
    server
    (make { microarch = "sapphirerapids"; })
    (arm.mkLlamaCpp { microarch = "neoverse-n1"; })
    arm.llama-cpp
  ];
in
{
  "GGML_NATIVE is off in all" = {
    expr = lib.all (has "-DGGML_NATIVE:BOOL=FALSE") several;
    expected = true;
  };
  "nothing is passed twice" = {
    expr = lib.all (package: lib.allUnique (names package)) several;
    expected = true;
  };
  "every backend is set, on or off" = {
    expr = lib.all (
      package:
      lib.all (backend: passes backend package) [
        "GGML_BLAS"
        "GGML_CUDA"
        "GGML_HIP"
        "GGML_VULKAN"
      ]
    ) several;
    expected = true;
  };
  "BLAS does not take the CPU's place" = {
    expr = lib.all (has "-DGGML_BLAS:BOOL=FALSE") several;
    expected = true;
  };
  "a portable package chooses at start-up" = {
    expr = lib.all (flag: has flag pkgs.llama-cpp-cpu) [
      "-DGGML_BACKEND_DL:BOOL=TRUE"
      "-DGGML_CPU_ALL_VARIANTS:BOOL=TRUE"
    ];
    expected = true;
  };
  "a portable package sets no CPU option" = {
    expr = pkgs.llama-cpp-cpu.llamaCpp.cpuOptions;
    expected = [ ];
  };
  "two backends are modules, with an exact CPU as well" = {
    expr =
      let
        package = make {
          backends = [
            "cuda"
            "vulkan"
          ];
          microarch = "znver4";
        };
      in
      lib.all (flag: has flag package) [
        "-DGGML_BACKEND_DL:BOOL=TRUE"
        "-DGGML_CPU_ALL_VARIANTS:BOOL=FALSE"
        "-DGGML_AVX512_BF16:BOOL=TRUE"
        "-DGGML_CUDA:BOOL=TRUE"
        "-DGGML_VULKAN:BOOL=TRUE"
      ];
    expected = true;
  };
  "AMX does not leak" = {
    expr = has "-DGGML_AMX_TILE:BOOL=FALSE" tigerlake && has "-DGGML_AMX_INT8:BOOL=FALSE" tigerlake;
    expected = true;
  };
  "AMX is where the table has it" = {
    expr = has "-DGGML_AMX_INT8:BOOL=TRUE" (make {
      microarch = "sapphirerapids";
    });
    expected = true;
  };

  "CUDA is compiled for the named GPU" = {
    expr = has "-DCMAKE_CUDA_ARCHITECTURES:STRING=75" tigerlake;
    expected = true;
  };
  "and for that package only" = {
    expr = pkgs.cudaPackages.flags.cudaCapabilities == [ "7.5" ];
    expected = false;
  };
  "without a name, for all that nixpkgs selects" = {
    expr = pkgs.llama-cpp-cuda.llamaCpp.cudaCapabilities;
    expected = pkgs.cudaPackages.flags.cudaCapabilities;
  };
  "ROCm targets are one string" = {
    expr = has "-DCMAKE_HIP_ARCHITECTURES:STRING=gfx1100;gfx906" server;
    expected = true;
  };
  "CUDA and ROCm fit in one binary" = {
    expr = server.llamaCpp.variant;
    expected = "cuda+rocm-dispatch-sm86-gfx1100-gfx906";
  };
  "the store name has the variant" = {
    expr = server.pname;
    expected = "llama-cpp-cuda-rocm-dispatch-sm86-gfx1100-gfx906";
  };

  "rocmSupport of the host does not reach a Vulkan build" = {
    expr = flagsOf (pkgsWith { config.rocmSupport = true; }).llama-cpp-vulkan;
    expected = flagsOf pkgs.llama-cpp-vulkan;
  };
  "cudaSupport of the host does not reach a CPU build" = {
    expr = flagsOf (pkgsWith { config.cudaSupport = true; }).llama-cpp-cpu;
    expected = flagsOf pkgs.llama-cpp-cpu;
  };

  "nixpkgs' argument names are accepted" = {
    expr = lib.all (args: (pkgs.llama-cpp.override args).drvPath == pkgs.llama-cpp-vulkan.drvPath) [
      { vulkanSupport = true; }
      { useVulkan = true; }
      { backends = [ "vulkan" ]; }
      {
        vulkanSupport = true;
        cudaSupport = false;
      }
    ];
    expected = true;
  };
  "nixpkgs' list of ROCm targets, and upstream's string" = {
    expr =
      map
        (
          rocmGpuTargets:
          (pkgs.llama-cpp.override {
            rocmSupport = true;
            inherit rocmGpuTargets;
          }).llamaCpp.rocmTargets
        )
        [
          [ "gfx906" ]
          "gfx906;gfx90a"
        ];
    expected = [
      [ "gfx906" ]
      [
        "gfx906"
        "gfx90a"
      ]
    ];
  };
  "a backend can be switched off again" = {
    expr = (pkgs.llama-cpp-vulkan.override { vulkanSupport = false; }).llamaCpp.backends;
    expected = [ "cpu" ];
  };
  "BLAS can be enabled" = {
    expr = has "-DGGML_BLAS:BOOL=TRUE" (pkgs.llama-cpp.override { blasSupport = true; });
    expected = true;
  };
  "the source is upstream's, in parts and as a whole" = {
    expr = map (package: package.src) [
      pkgs.llama-cpp
      (pkgs.llama-cpp.override { modular = false; })
    ];
    expected = [
      llama-cpp.outPath
      llama-cpp.outPath
    ];
  };
  "override lists its arguments" = {
    expr = lib.all (name: lib.functionArgs pkgs.llama-cpp.override ? ${name}) [
      "backends"
      "microarch"
      "vulkanSupport"
      "rpcSupport"
      "useVulkan"
      "useMpi"
    ];
    expected = true;
  };
  "an argument that this revision lacks is recorded" = {
    expr = (pkgs.llama-cpp.override { rpcSupport = true; }).llamaCpp.droppedArguments;
    expected = lib.optional (!accepts ? useRpc) "useRpc";
  };
  "an argument that this revision has is used" = {
    expr = has "-DGGML_RPC:BOOL=TRUE" (pkgs.llama-cpp.override { rpcSupport = true; });
    expected = accepts ? useRpc;
  };
  "none of the overlay's arguments is dropped" = {
    expr = lib.concatMap (package: package.llamaCpp.droppedArguments) several;
    expected = [ ];
  };
  "without a web UI, none is built nor fetched" = {
    expr =
      let
        package = make { useWebUi = false; };
      in
      [
        (has "-DLLAMA_BUILD_WEBUI:BOOL=FALSE" package)
        (has "-DLLAMA_USE_PREBUILT_UI:BOOL=FALSE" package)
        (package.webui or null)
        package.llamaCpp.droppedArguments
      ];
    expected = [
      (accepts ? useWebUi)
      (accepts ? useWebUi)
      null
      (lib.optional (!accepts ? useWebUi) "useWebUi")
    ];
  };
  "override and overrideAttrs follow each other" = {
    expr =
      let
        package = (pkgs.llama-cpp.overrideAttrs { patches = [ ./default.nix ]; }).override {
          microarch = "haswell";
        };
      in
      [
        (lib.length package.patches)
        package.llamaCpp.variant
      ];
    expected = [
      1
      "cpu-haswell"
    ];
  };
  "the manifest follows overrideAttrs" = {
    expr = has "-DGGML_OPENMP=OFF" (
      pkgs.llama-cpp.overrideAttrs (prev: {
        cmakeFlags = prev.cmakeFlags ++ [ "-DGGML_OPENMP=OFF" ];
      })
    );
    expected = true;
  };
  "an extra flag replaces the package's" = {
    expr = lib.filter (lib.hasPrefix "-DGGML_AVX512_VBMI") (
      flagsOf (make {
        microarch = "tigerlake";
        extraCmakeFlags = [ "-DGGML_AVX512_VBMI=OFF" ];
      })
    );
    expected = [ "-DGGML_AVX512_VBMI=OFF" ];
  };
  "equal arguments are the same derivation" = {
    expr =
      (make {
        backends = [
          "rocm"
          "cpu"
          "cuda"
        ];
        cudaCapabilities = [
          "8.6"
          "8.6"
        ];
        rocmTargets = [
          "gfx1100"
          "gfx906"
        ];
      }).drvPath == server.drvPath;
    expected = true;
  };
  "another CPU is another derivation" = {
    expr = (make { microarch = "znver4"; }).drvPath == (make { microarch = "znver3"; }).drvPath;
    expected = false;
  };

  "ARM is compiled for its architecture" = {
    expr = has "-DGGML_CPU_ARM_ARCH:STRING=armv8.2-a+dotprod+fp16" (
      arm.mkLlamaCpp { microarch = "neoverse-n1"; }
    );
    expected = true;
  };
  # CMake rejects the combination.
  "ARM's dispatch names no architecture" = {
    expr = [
      (passes "GGML_CPU_ARM_ARCH" arm.llama-cpp)
      (has "-DGGML_CPU_ALL_VARIANTS:BOOL=TRUE" arm.llama-cpp)
    ];
    expected = [
      false
      true
    ];
  };
  "ARM gets no x86 options" = {
    expr = passes "GGML_AVX2" (arm.mkLlamaCpp { microarch = "neoverse-n1"; });
    expected = false;
  };

  "the build has its commit" = {
    expr = has "-DLLAMA_BUILD_COMMIT:STRING=${llama-cpp.shortRev or "unknown"}" pkgs.llama-cpp;
    expected = true;
  };
  "the build has its number" = {
    expr =
      let
        inherit (pkgs.llama-cpp.llamaCpp) build;
      in
      has "-DLLAMA_BUILD_NUMBER:STRING=${toString build}" pkgs.llama-cpp;
    expected = true;
  };
  "tools are built, tests and examples not" = {
    expr =
      has "-DLLAMA_BUILD_TESTS:BOOL=FALSE" pkgs.llama-cpp
      && has "-DLLAMA_BUILD_EXAMPLES:BOOL=FALSE" pkgs.llama-cpp;
    expected = true;
  };
  "a manifest is JSON that needs no build" = {
    expr = builtins.hasContext (builtins.toJSON server.llamaCpp);
    expected = false;
  };
  "nixpkgs' package is still there" = {
    expr = pkgs.llama-cpp-nixpkgs ? llamaCpp;
    expected = false;
  };
  "the overlay may be applied twice" = {
    expr =
      let
        twice = pkgs.extend flake.overlays.default;
      in
      [
        (twice.llama-cpp.drvPath == pkgs.llama-cpp.drvPath)
        (twice.llama-cpp-nixpkgs ? llamaCpp)
      ];
    expected = [
      true
      false
    ];
  };
}
