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
  arches = [
    "x86_64"
    "aarch64"
  ];
  realNames = lib.importJSON ./microarch-names.json;
  # The suggestion of a message; for the name of a row, the name.
  suggested =
    arch: name:
    if lib.elem name (microarchs.names arch) then name else microarchs.suggestionFor arch name;

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
  "every option is set, on or off, for every CPU" = {
    expr = lib.filter (name: lib.attrNames (microarchs.cmakeOptionsFor (x86 name)) != allOptions) (
      microarchs.names "x86_64"
    );
    expected = [ ];
  };
  "AMX is only where the CPU has it" = {
    expr = withOption "GGML_AMX_INT8";
    expected = [
      "diamondrapids"
      "emeraldrapids"
      "graniterapids"
      "graniterapids-d"
      "sapphirerapids"
    ];
  };
  "no CPU gets AMX in bf16, which upstream's own variants leave out" = {
    expr = withOption "GGML_AMX_BF16";
    expected = [ ];
  };
  "AVX-512 is only where the CPU has it" = {
    expr = withOption "GGML_AVX512";
    expected = [
      "cannonlake"
      "cascadelake"
      "cooperlake"
      "diamondrapids"
      "emeraldrapids"
      "graniterapids"
      "graniterapids-d"
      "icelake-client"
      "icelake-server"
      "novalake"
      "rocketlake"
      "sapphirerapids"
      "sapphirerapids-no-amx"
      "skylake-avx512"
      "tigerlake"
      "x86-64-v4"
      "znver4"
      "znver5"
      "znver6"
    ];
  };
  "hybrid Intel before Nova Lake has AVX-VNNI and no AVX-512" = {
    expr = lib.intersectLists (withOption "GGML_AVX_VNNI") (withOption "GGML_AVX512");
    expected = [
      "novalake"
      "znver5"
      "znver6"
    ];
  };
  "cascadelake lacks VBMI, unlike in lib.systems" = {
    expr = lib.elem "GGML_AVX512_VBMI" (on "cascadelake");
    expected = false;
  };
  "each row names features of the table" = {
    expr = lib.subtractLists (lib.attrNames microarchs.table.x86_64.features) (
      lib.concatMap (row: row.features) (lib.attrValues microarchs.table.x86_64.microarchs)
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
    expr = microarchs.cmakeOptionsFor (arm "cortex-a76");
    expected.GGML_CPU_ARM_ARCH = "armv8.2-a+dotprod+fp16";
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
  "each row has one place among the other names" = {
    expr = lib.concatMap (
      arch:
      lib.subtractLists (microarchs.names arch ++ [ "dispatch" ]) (
        lib.attrNames microarchs.table.${arch}.otherNames
      )
    ) arches;
    expected = [ ];
  };
  "no other name is a row or has two" = {
    expr = lib.concatMap (
      arch:
      let
        letters = map (lib.replaceStrings [ "-" ] [ "" ]);
        rows = letters (microarchs.names arch);
        others = letters (lib.concatLists (lib.attrValues microarchs.table.${arch}.otherNames));
      in
      lib.intersectLists rows others ++ lib.optional (lib.unique others != others) "twice"
    ) arches;
    expected = [ ];
  };
  # `features` are those of a CPU of this name according to LLVM 22 (`clang -march`, `-mcpu`), GCC
  # 15 or archspec; for marketing names and boards, those that all of their cores have.
  "no suggestion has a feature that the CPU lacks" = {
    expr = lib.concatMap (
      arch:
      lib.filter (found: found != null) (
        lib.mapAttrsToList (
          name: features:
          let
            row = suggested arch name;
            lacking = lib.subtractLists features (microarchs.table.${arch}.microarchs.${row}.features or [ ]);
          in
          if lacking == [ ] then null else { inherit name row lacking; }
        ) realNames.${arch}
      )
    ) arches;
    expected = [ ];
  };
  # Much slower: without AVX2 or dot products, if the table has a row with them.
  "no suggestion is much slower than another row" = {
    expr = lib.concatMap (
      arch:
      lib.filter (
        name:
        let
          row = suggested arch name;
          matters = if arch == "x86_64" then "AVX2" else "dotprod";
        in
        row != "dispatch"
        && lib.elem matters realNames.${arch}.${name}
        && !(lib.elem matters microarchs.table.${arch}.microarchs.${row}.features)
      ) (lib.attrNames realNames.${arch})
    ) arches;
    expected = [ ];
  };
  "a misspelt name of one CPU is not corrected to another's" = {
    expr = map (microarchs.suggestionFor "x86_64") [
      "tigerlak"
      "TigerLake"
      "Kaby Lake"
      "EPYC-Rome"
      "cofeelake"
      "zenver4"
      "znver-4"
      "znver"
      "skylake-avx"
      "m1"
      "foo"
    ];
    expected = [
      "tigerlake"
      "tigerlake"
      "skylake"
      "znver2"
      "skylake"
      "znver4"
      "znver4"
      "dispatch"
      "dispatch"
      "dispatch"
      "dispatch"
    ];
  };
  "native is dispatch, with the reason, on either architecture" = {
    expr = lib.all (arch: lib.hasInfix "write \"dispatch\"" (microarchs.problem (arch "native"))) [
      x86
      arm
    ];
    expected = true;
  };
  "an alias of the other architecture is reported as such" = {
    expr = lib.hasInfix "is a microarchitecture of aarch64" (microarchs.problem (x86 "rk3588"));
    expected = true;
  };
  "an unknown name gets a suggestion, or the list" = {
    expr =
      map (part: lib.hasInfix part (microarchs.problem (x86 "coffeelake"))) [
        "write \"skylake\", or \"dispatch\""
        "Known for"
      ]
      ++ map (part: lib.hasInfix part (microarchs.problem (x86 "foo"))) [
        "\"dispatch\""
        "Known for x86_64-linux: alderlake, "
      ];
    expected = [
      true
      false
      true
      true
    ];
  };
  "a name of the other architecture is reported as such" = {
    expr = lib.hasInfix "is a microarchitecture of x86_64, but this is aarch64-linux" (
      microarchs.problem (arm "znver4")
    );
    expected = true;
  };
}
