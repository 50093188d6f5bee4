# The table of microarchitectures and its errors.
{ lib, ... }:
let
  microarchs = import ../overlays/llama-cpp/microarch.nix { inherit lib; };
  x86 = name: {
    system = "x86_64-linux";
    inherit name;
  };
  arm = name: {
    system = "aarch64-linux";
    inherit name;
  };

  on =
    name: lib.attrNames (lib.filterAttrs (_: value: value) (microarchs.cmakeOptionsFor (x86 name)));
  withOption = option: lib.filter (name: lib.elem option (on name)) (microarchs.names "x86_64");
  allOptions = lib.sort lib.lessThan (
    lib.mapAttrsToList (_: feature: feature.cmake) microarchs.table.x86_64.features
  );
in
{
  "tigerlake is AVX-512 with VBMI and VNNI" = {
    expr = on "tigerlake";
    expected = [
      "GGML_AVX"
      "GGML_AVX2"
      "GGML_AVX512"
      "GGML_AVX512_VBMI"
      "GGML_AVX512_VNNI"
      "GGML_BMI2"
      "GGML_F16C"
      "GGML_FMA"
      "GGML_SSE42"
    ];
  };
  "the baseline has nothing" = {
    expr = on "x86-64";
    expected = [ ];
  };
  "every option is said, on or off, for every CPU" = {
    expr = lib.filter (name: lib.attrNames (microarchs.cmakeOptionsFor (x86 name)) != allOptions) (
      microarchs.names "x86_64"
    );
    expected = [ ];
  };
  "AMX is where the CPU has it, only" = {
    expr = withOption "GGML_AMX_INT8";
    expected = [
      "emeraldrapids"
      "sapphirerapids"
    ];
  };
  "no CPU gets AMX in bf16, which upstream's own variants leave out" = {
    expr = withOption "GGML_AMX_BF16";
    expected = [ ];
  };
  "AVX-512 is where the CPU has it, only" = {
    expr = withOption "GGML_AVX512";
    expected = [
      "cascadelake"
      "cooperlake"
      "emeraldrapids"
      "icelake-client"
      "icelake-server"
      "rocketlake"
      "sapphirerapids"
      "skylake-avx512"
      "tigerlake"
      "x86-64-v4"
      "znver4"
      "znver5"
    ];
  };
  "hybrid Intel has AVX-VNNI and no AVX-512" = {
    expr = lib.intersectLists (withOption "GGML_AVX_VNNI") (withOption "GGML_AVX512");
    expected = [ "znver5" ];
  };
  "cascadelake lacks VBMI, whatever lib.systems says" = {
    expr = lib.elem "GGML_AVX512_VBMI" (on "cascadelake");
    expected = false;
  };
  "each row names features of the table" = {
    expr = lib.subtractLists (lib.attrNames microarchs.table.x86_64.features) (
      lib.concatLists (lib.attrValues microarchs.table.x86_64.microarchs)
    );
    expected = [ ];
  };
  "each row names features of the table, on ARM" = {
    expr = lib.subtractLists (lib.attrNames microarchs.table.aarch64.features) (
      lib.concatMap (row: row.features) (lib.attrValues microarchs.table.aarch64.microarchs)
    );
    expected = [ ];
  };
  "ARM is one architecture string" = {
    expr = microarchs.cmakeFlagsFor (arm "cortex-a76");
    expected = [ "-DGGML_CPU_ARM_ARCH:STRING=armv8.2-a+dotprod+fp16" ];
  };
  "flags are as CMake wants them" = {
    expr = lib.elem "-DGGML_AVX2:BOOL=TRUE" (microarchs.cmakeFlagsFor (x86 "haswell"));
    expected = true;
  };
  "a known name is no problem" = {
    expr = microarchs.problem (x86 "znver4");
    expected = null;
  };
  "dispatch is no problem on either architecture" = {
    expr = map microarchs.problem [
      (x86 "dispatch")
      (arm "dispatch")
    ];
    expected = [
      null
      null
    ];
  };
  "an unknown name gets the nearest and the list" = {
    expr = map (part: lib.hasInfix part (microarchs.problem (x86 "tigerlak"))) [
      "did you mean \"tigerlake\"?"
      "znver4"
      "dispatch"
    ];
    expected = [
      true
      true
      true
    ];
  };
  "a name of the other architecture is said to be one" = {
    expr = lib.hasInfix "is a microarchitecture of x86_64, but this is aarch64-linux" (
      microarchs.problem (arm "znver4")
    );
    expected = true;
  };
  "looking up an unknown name is an error" = {
    expr = (builtins.tryEval (microarchs.lookup (x86 "tigerlak"))).success;
    expected = false;
  };
}
