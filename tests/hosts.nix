# The four machines.
{ flake, lib, ... }:
let
  configs = lib.mapAttrs (_name: host: host.config) flake.nixosConfigurations;
  manifests = lib.mapAttrs (_name: config: config.programs.llama-cpp.manifest) configs;
  drvPaths = lib.mapAttrs (_name: config: config.programs.llama-cpp.package.drvPath) configs;

  # The flags for the CPU and the GPU, without those of every host.
  tuning = lib.filter (
    flag: builtins.match "-D(GGML_(SSE|AVX|AMX|FMA|F16C|BMI)|CMAKE_CUDA_ARCH).*" flag != null
  );
in
{
  "each row of the table is a host" = {
    expr = lib.attrNames flake.nixosConfigurations;
    expected = lib.attrNames flake.fleet;
  };
  "each host has its name" = {
    expr = lib.mapAttrs (_name: manifest: manifest.host) manifests;
    expected = lib.mapAttrs (name: _row: name) flake.fleet;
  };
  "each host has its variant" = {
    expr = lib.mapAttrs (_name: manifest: manifest.variant) manifests;
    expected = {
      beryllium = "cpu-znver4";
      boron = "cuda-tigerlake-sm75";
      carbon = "vulkan-znver4";
      nitrogen = "cuda+rocm-dispatch-sm86-gfx906";
    };
  };
  "each host's package has its modules" = {
    expr = lib.mapAttrs (
      _name: manifest:
      map (part: part.name) (lib.filter (part: lib.hasPrefix "ggml-" part.name) manifest.parts)
    ) manifests;
    expected = {
      beryllium = [ "ggml-cpu-znver4" ];
      boron = [
        "ggml-cpu-tigerlake"
        "ggml-cuda-sm75"
      ];
      carbon = [
        "ggml-cpu-znver4"
        "ggml-vulkan"
      ];
      nitrogen = [
        "ggml-cpu-dispatch"
        "ggml-cuda-sm86"
        "ggml-rocm-gfx906"
      ];
    };
  };
  "boron's flags are the tigerlake set and CUDA 7.5" = {
    expr = lib.sort lib.lessThan (tuning manifests.boron.cmakeFlags);
    expected = [
      "-DCMAKE_CUDA_ARCHITECTURES:STRING=75"
      "-DGGML_AMX_BF16:BOOL=FALSE"
      "-DGGML_AMX_INT8:BOOL=FALSE"
      "-DGGML_AMX_TILE:BOOL=FALSE"
      "-DGGML_AVX2:BOOL=TRUE"
      "-DGGML_AVX512:BOOL=TRUE"
      "-DGGML_AVX512_BF16:BOOL=FALSE"
      "-DGGML_AVX512_VBMI:BOOL=TRUE"
      "-DGGML_AVX512_VNNI:BOOL=TRUE"
      "-DGGML_AVX:BOOL=TRUE"
      "-DGGML_AVX_VNNI:BOOL=FALSE"
      "-DGGML_BMI2:BOOL=TRUE"
      "-DGGML_F16C:BOOL=TRUE"
      "-DGGML_FMA:BOOL=TRUE"
      "-DGGML_SSE42:BOOL=TRUE"
    ];
  };
  "no host is native" = {
    expr = lib.all (manifest: lib.elem "-DGGML_NATIVE:BOOL=FALSE" manifest.cmakeFlags) (
      lib.attrValues manifests
    );
    expected = true;
  };
  "no host has a failed assertion of the module" = {
    expr = lib.concatMap (
      config:
      lib.filter (lib.hasInfix "llama-cpp") (
        map (a: a.message) (lib.filter (a: !a.assertion) config.assertions)
      )
    ) (lib.attrValues configs);
    expected = [ ];
  };
  # Without firmware amdgpu does not start, which no build detects.
  "each host has the firmware of its devices" = {
    expr = lib.all (config: config.hardware.enableRedistributableFirmware) (lib.attrValues configs);
    expected = true;
  };
  "carbon's user has carbon's variant" = {
    expr =
      let
        inherit (configs.carbon.home-manager.users.porcupine.home) packages;
      in
      lib.elem drvPaths.carbon (map (package: package.drvPath or null) packages);
    expected = true;
  };
  "hosts with equal variants share a derivation" = {
    expr = flake.nixosConfigurations.beryllium.pkgs.llama-cpp-vulkan.drvPath == drvPaths.carbon;
    expected = true;
  };
}
