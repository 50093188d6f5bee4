# The GPU kernels for pairs of KV cache types, with the locked llama.cpp.
{
  flake,
  lib,
  pkgs,
  ...
}:
let
  inherit (flake.inputs) llama-cpp;
  has = flag: package: lib.elem flag package.llamaCpp.cmakeFlags;

  tigerlake = pkgs.mkLlamaCpp {
    backends = [ "cuda" ];
    microarch = "tigerlake";
    cudaCapabilities = [ "7.5" ];
  };
  mixed = tigerlake.override { kvCacheTypes = [ "q8_0-q4_0" ]; };
  # Since 2026. Older revisions have only GGML_CUDA_FA_ALL_QUANTS.
  takesPairs = lib.hasInfix "GGML_CUDA_FA_QUANTS" (
    builtins.readFile "${llama-cpp}/ggml/CMakeLists.txt"
  );
in
{
  "kernels for further KV cache types, by the option that this revision has" = {
    expr = {
      list = has "-DGGML_CUDA_FA_QUANTS:STRING=q4_0-q4_0;q8_0-q8_0;f16-f16;bf16-bf16;q8_0-q4_0" mixed;
      all = has "-DGGML_CUDA_FA_ALL_QUANTS:BOOL=TRUE" mixed;
      asked = mixed.llamaCpp.kvCacheTypes;
      built = lib.elem "q8_0-q4_0" mixed.llamaCpp.kvKernels;
      further = lib.elem "q5_0-q4_1" mixed.llamaCpp.kvKernels;
    };
    expected = {
      list = takesPairs;
      all = !takesPairs;
      asked = [ "q8_0-q4_0" ];
      built = true;
      further = !takesPairs;
    };
  };
  "kernels that are built anyway change nothing" = {
    expr =
      (tigerlake.override {
        kvCacheTypes = [
          "q8_0-q8_0"
          "q4_0-q4_0"
        ];
      }).drvPath == tigerlake.drvPath;
    expected = true;
  };
  "the manifest has the kernels that the flags leave" = {
    expr =
      map
        (
          flag:
          let
            kernels = (tigerlake.override { extraCmakeFlags = [ flag ]; }).llamaCpp.kvKernels;
          in
          map (pair: lib.elem pair kernels) [
            "f16-f16"
            "q8_0-q8_0"
            "q8_0-q4_0"
          ]
        )
        [
          "-DGGML_CUDA_FA_ALL_QUANTS=ON"
          "-DGGML_CUDA_FA=OFF"
          "-DGGML_CUDA_FA_QUANTS=q8_0-q4_0"
        ];
    expected = [
      [
        true
        true
        true
      ]
      [
        false
        false
        false
      ]
      [
        true
        (!takesPairs)
        takesPairs
      ]
    ];
  };
  # Arguments that the revision does not declare are not passed, but listed in the manifest's
  # droppedArguments.
  "a revision without either option builds its own pairs" = {
    expr =
      let
        kernels = (import ../overlays/llama-cpp/kv-cache.nix { inherit lib; }).forSource {
          source = llama-cpp;
          declared = { };
        };
      in
      {
        option = lib.attrNames (kernels.optionsFor [ "q8_0-q4_0" ]);
        none = kernels.optionsFor [ "q8_0-q8_0" ];
        built = lib.elem "q8_0-q4_0" (kernels.builtWith { });
      };
    expected = {
      option = [ "GGML_CUDA_FA_ALL_QUANTS" ];
      none = { };
      built = false;
    };
  };
  "a build without CUDA and ROCm has no such kernels" = {
    expr = pkgs.llama-cpp-vulkan.llamaCpp.kvKernels;
    expected = null;
  };
}
