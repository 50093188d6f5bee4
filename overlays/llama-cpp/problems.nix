# The errors in a variant's arguments, as a list of messages.
#
# `mkLlamaCpp` throws them, and the modules turn them into assertions. `option` maps an argument to
# the caller's name for it, so that a message uses the user's name.
{
  lib,
  kvCache,
  microarchs,
}:
{
  system,
  backends,
  microarch,
  cudaCapabilities,
  rocmTargets,
  kvCacheTypes,
  extraCmakeFlags,
  # The CMake options that this llama.cpp declares.
  declared,
  # Whether nixpkgs refuses the CUDA libraries; evaluated only for cuda.
  cudaIsUnfree,
  cudaIsUnsupported,
  # Why the variant is not split into parts, or null; evaluated only for a list of CPUs.
  notSplit,
  option ? lib.id,
}:
let
  known = [
    "cpu"
    "cuda"
    "rocm"
    "vulkan"
  ];
  has = backend: lib.elem backend backends;
  quote = value: "\"${value}\"";
  choices = lib.concatStringsSep ", " known;

  # "75" -> "7.5", "sm_120" -> "12.0", "90a" -> "9.0a"
  withDot =
    capability:
    let
      parts = builtins.match "(sm_|compute_)?([0-9]+)([0-9][af]?)" capability;
    in
    if parts == null then "one such as \"8.6\"" else quote (lib.concatStringsSep "." (lib.tail parts));

  isCapability = value: builtins.match "[0-9]+[.][0-9]+[af]?" value != null;
  isGfxTarget =
    value: builtins.match "gfx[0-9a-f]{3,4}(:[a-z]+[+-])*|gfx[0-9]+(-[0-9]+)*-generic" value != null;
  enablesNative = flag: builtins.match "-DGGML_NATIVE(:[A-Z]+)?=(ON|on|TRUE|true|YES|1)" flag != null;

  names = lib.toList microarch;
  microarchProblems = lib.filter (problem: problem != null) (
    map (
      name:
      microarchs.problem {
        inherit system name;
      }
    ) names
  );
  isList = lib.length names != 1;
  hasDispatch = declared ? GGML_CPU_ALL_VARIANTS;
in
lib.optional (
  backends == [ ]
) "${option "backends"} is an empty list; name at least one of ${choices}."
++ map (
  backend: "${option "backends"}: ${quote backend} is not a backend; choose from ${choices}."
) (lib.subtractLists known backends)
++ lib.optional (!lib.hasSuffix "-linux" system) (
  "${option "backends"} selects a llama.cpp that is not available on ${system}, only on Linux; "
  + "use nixpkgs' llama-cpp there."
)
++ lib.optional (has "rocm" && system != "x86_64-linux") (
  "${option "backends"} includes rocm, which is available for x86_64-linux only, not for ${system}; "
  + "choose \"vulkan\", which supports the same GPUs, or \"cpu\"."
)
++ lib.optional (has "cuda" && cudaIsUnsupported) (
  "${option "backends"} includes cuda, which this nixpkgs does not have for ${system}; "
  + "choose \"vulkan\" or \"cpu\"."
)
++ lib.optional (has "cuda" && cudaIsUnfree) (
  "${option "backends"} includes cuda, but its libraries are unfree and this nixpkgs refuses them; "
  + "set nixpkgs.config.allowUnfree = true, or nixpkgs.config.allowUnfreePredicate "
  + "so that it accepts the CUDA licences; where `import nixpkgs` makes the host's pkgs, set it there."
)
++ lib.optional (cudaCapabilities != [ ] && !has "cuda") (
  "${option "cudaCapabilities"} is set, but ${option "backends"} has no cuda; "
  + "add \"cuda\" to ${option "backends"}, or remove ${option "cudaCapabilities"}."
)
++ map (
  capability:
  "${option "cudaCapabilities"}: ${quote capability} is not a CUDA capability; write ${withDot capability}, with the dot."
) (lib.filter (capability: !isCapability capability) cudaCapabilities)
++ lib.optional (rocmTargets != [ ] && !has "rocm") (
  "${option "rocmTargets"} is set, but ${option "backends"} has no rocm; "
  + "add \"rocm\" to ${option "backends"}, or remove ${option "rocmTargets"}."
)
++ map (
  target:
  "${option "rocmTargets"}: ${quote target} is not a ROCm target; write it as rocminfo prints it, such as \"gfx906\" or \"gfx1100\"."
) (lib.filter (target: !isGfxTarget target) rocmTargets)
++ lib.optional (kvCacheTypes != [ ] && !has "cuda" && !has "rocm") (
  "${option "kvCacheTypes"} is set, but ${option "backends"} has neither cuda nor rocm, "
  + "and no other backend has such kernels; remove ${option "kvCacheTypes"}."
)
++ map (
  pair:
  "${option "kvCacheTypes"}: ${quote pair} is not a pair of KV cache types; write the type of K, "
  + "\"-\" and the type of V, such as \"q8_0-q4_0\", with the types ${lib.concatStringsSep ", " kvCache.types}."
) (lib.filter (pair: !kvCache.isPair pair) kvCacheTypes)
++ lib.optional (names == [ ]) "${option "microarch"} is an empty list; name at least one CPU."
++ map (problem: "${option "microarch"}: ${problem}") microarchProblems
++ lib.optional (isList && lib.elem "dispatch" names) (
  "${option "microarch"} lists \"dispatch\" beside others; it alone runs on every CPU."
)
++ lib.optional (isList && system != "x86_64-linux") (
  "${option "microarch"} is a list, and ggml selects among named CPUs on x86_64-linux only, not on "
  + "${system}; name one, or set \"dispatch\"."
)
++ lib.optional (lib.length names > 1 && notSplit != null) (
  "${option "microarch"} is a list, which needs a package built from parts, but ${notSplit}; name "
  + "one CPU${lib.optionalString hasDispatch ", or set \"dispatch\""}."
)
++ lib.optional (microarch == "dispatch" && !hasDispatch) (
  "${option "microarch"} is \"dispatch\", but this llama.cpp has no CMake option GGML_CPU_ALL_VARIANTS "
  + "and would use no instruction set that only some CPUs have; name the CPU."
)
++ lib.optional (lib.length backends > 1 && !(declared ? GGML_BACKEND_DL)) (
  "${option "backends"} lists several, but this llama.cpp has no CMake option GGML_BACKEND_DL, which "
  + "puts them into one package; name one."
)
++ lib.optional (lib.any enablesNative extraCmakeFlags) (
  "${option "extraCmakeFlags"} turns GGML_NATIVE on, which makes ggml ignore every other CPU option "
  + "and, built by Nix, leaves plain SSE2; remove it and set ${option "microarch"} instead."
)
