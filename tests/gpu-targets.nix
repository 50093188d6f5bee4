# The GPU targets in a build's manifest.
{
  flake,
  lib,
  pkgs,
  ...
}:
{
  # llama.cpp of 2026 changes "12.0" to "12.0a"; the one of 2025 does not.
  "the manifest has the CUDA code that is compiled, and the compiler" = {
    expr =
      let
        manifest =
          (pkgs.mkLlamaCpp {
            backends = [ "cuda" ];
            cudaCapabilities = [
              "12.0"
              "8.6"
              "9.0a"
            ];
          }).llamaCpp;
        replaces = lib.hasInfix "12Xa" (
          builtins.readFile "${flake.inputs.llama-cpp}/ggml/src/ggml-cuda/CMakeLists.txt"
        );
      in
      {
        inherit (manifest) cudaVersion;
        targets =
          manifest.cudaTargets == [
            (if replaces then "12.0a" else "12.0")
            "8.6"
            "9.0a"
          ];
      };
    expected = {
      cudaVersion = pkgs.cudaPackages.cudaMajorMinorVersion;
      targets = true;
    };
  };
  "the manifest has the targets of ROCm's libraries" = {
    expr = map (package: package.llamaCpp.rocmLibraryTargets) [
      pkgs.llama-cpp-rocm
      pkgs.llama-cpp-cuda
    ];
    expected = [
      pkgs.rocmPackages.clr.gpuTargets
      null
    ];
  };
}
