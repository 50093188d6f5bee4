# The KV cache types and the number of threads that a host passes to llama-server and llama-bench
# in flags and environment variables.
{ lib }:
let
  kvCache = import ../../overlays/llama-cpp/kv-cache.nix { inherit lib; };

  # The words after one of these flags.
  valuesIn =
    words: flags:
    lib.concatLists (
      lib.zipListsWith (flag: value: lib.optional (lib.elem flag flags) value) words (lib.drop 1 words)
    );

  isOff =
    value:
    lib.elem value [
      "0"
      "off"
      "false"
      "disabled"
    ];

  # f32 uses the kernels of f16, which every build has.
  pairOf =
    k: v:
    let
      half = type: if type == null || type == "f32" then "f16" else type;
      pair = "${half k}-${half v}";
    in
    lib.optional (pair != "f16-f16") pair;

  # llama-bench measures every combination of the given values.
  benchPairs =
    args:
    let
      values = flags: lib.concatMap (lib.splitString ",") (valuesIn args flags);
      orDefault = list: if list == [ ] then [ null ] else list;
      flashAttention = values [
        "-fa"
        "--flash-attn"
      ];
      keys = orDefault (values [
        "-ctk"
        "--cache-type-k"
      ]);
      elements = orDefault (values [
        "-ctv"
        "--cache-type-v"
      ]);
    in
    lib.optionals (flashAttention == [ ] || !lib.all isOff flashAttention) (
      lib.concatMap (k: lib.concatMap (pairOf k) elements) keys
    );
in
{
  # The pairs for which kernels can be built.
  kvCacheTypes =
    { service, benchArgs }:
    lib.filter kvCache.isPair (
      lib.optionals (service != null) service.kvCacheTypes ++ benchPairs benchArgs
    );

  # For `services.llama-cpp`: a flag takes precedence over a variable, and the last flag counts.
  server =
    {
      extraFlags ? [ ],
      settings ? { },
      environment ? { },
    }:
    let
      ofSettings =
        flag:
        let
          value = settings.${lib.removePrefix "-" (lib.removePrefix "-" flag)} or null;
        in
        lib.optional (value != null && !lib.isBool value) (toString value);
      asked =
        flags: variable:
        lib.findFirst (value: value != null) null (
          lib.reverseList (lib.concatMap ofSettings flags ++ valuesIn extraFlags flags)
          ++ [ (environment.${variable} or null) ]
        );
      count =
        flags: variable:
        let
          value = asked flags variable;
        in
        if value != null && builtins.match "[1-9][0-9]*" value != null then lib.toInt value else null;

      draft =
        letter:
        asked [
          "-ct${letter}d"
          "--cache-type-${letter}-draft"
          "--spec-draft-type-${letter}"
        ] "LLAMA_ARG_CACHE_TYPE_${lib.toUpper letter}_DRAFT";
      flashAttention = asked [ "-fa" "--flash-attn" ] "LLAMA_ARG_FLASH_ATTN";
    in
    {
      kvCacheTypes = lib.optionals (flashAttention == null || !isOff flashAttention) (
        lib.unique (
          pairOf (asked [ "-ctk" "--cache-type-k" ] "LLAMA_ARG_CACHE_TYPE_K") (
            asked [ "-ctv" "--cache-type-v" ] "LLAMA_ARG_CACHE_TYPE_V"
          )
          ++ pairOf (draft "k") (draft "v")
        )
      );
      threads = count [ "-t" "--threads" ] "LLAMA_ARG_THREADS";
    };
}
