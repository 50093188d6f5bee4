# The KV cache types that have FlashAttention kernels for CUDA and ROCm. Kernels are compiled for
# pairs of types, "K-V", as listed in CMake's GGML_CUDA_FA_QUANTS. Other pairs are converted for
# each token, or crash llama.cpp in revisions of 2025.
{ lib }:
let
  types = [
    "bf16"
    "f16"
    "q4_0"
    "q4_1"
    "q5_0"
    "q5_1"
    "q8_0"
  ];
  pairsOf = types: lib.concatMap (k: map (v: "${k}-${v}") types) types;
in
{
  inherit types;
  isPair = pair: lib.elem pair (pairsOf types);

  # `declared` are the CMake options of the llama.cpp in `source`.
  forSource =
    { source, declared }:
    let
      takesList = declared ? GGML_CUDA_FA_QUANTS;
      all = pairsOf (if takesList then types else lib.remove "bf16" types);

      default =
        let
          parts = builtins.split "GGML_CUDA_FA_QUANTS[ ]+\"([^\"]*)\"" (
            builtins.readFile "${source}/ggml/CMakeLists.txt"
          );
        in
        if lib.length parts > 1 then
          lib.splitString ";" (lib.head (lib.elemAt parts 1))
        else
          [
            "q4_0-q4_0"
            "q8_0-q8_0"
            "f16-f16"
          ];
    in
    {
      # The CMake variables that add kernels for these pairs.
      optionsFor =
        pairs:
        let
          further = lib.intersectLists all (lib.subtractLists default pairs);
        in
        if further == [ ] then
          { }
        else if takesList then
          { GGML_CUDA_FA_QUANTS = lib.concatStringsSep ";" (default ++ further); }
        else
          { GGML_CUDA_FA_ALL_QUANTS = true; };

      # The pairs for which a build with these CMake variables has kernels.
      builtWith =
        variables:
        let
          isOn =
            value:
            lib.elem (lib.toUpper value) [
              "ON"
              "TRUE"
              "YES"
              "1"
            ];
          asked = lib.toLower (variables.GGML_CUDA_FA_QUANTS or "");
          list = lib.splitString ";" (lib.replaceStrings [ "," " " ] [ ";" "" ] asked);
        in
        if !(isOn (variables.GGML_CUDA_FA or "ON")) then
          [ ]
        else if isOn (variables.GGML_CUDA_FA_ALL_QUANTS or "OFF") || takesList && asked == "all" then
          all
        else if takesList && asked != "" then
          lib.unique ([ "f16-f16" ] ++ list)
        else
          default;
    };
}
