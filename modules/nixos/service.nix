# What the unit of `services.llama-cpp` needs for each GPU backend: access beyond nixpkgs'
# hardening, and a place for compiled shaders.
#
# Both shapes of nixpkgs' module (`model` and `extraFlags`; since mid-2026 `settings`)
# harden alike and leave the devices in place, so that their permissions decide:
#
# - /dev/nvidia* are open to all. /dev/dri/renderD* and /dev/kfd are the group render's
#   wherever udev does not open them to all. Not the group video: that is /dev/dri/card*,
#   the screen.
# - A supplementary group counts inside of `PrivateUsers` as well, since the kernel compares
#   its own group numbers: that stays on. So does `MemoryDenyWriteExecute` for CUDA and
#   ROCm, which compile for the GPU only; nixpkgs' ollama runs the same ggml code with both.
#   A Vulkan driver may be one that writes code for the CPU, as NVIDIA's and llvmpipe do.
# - ggml-cuda.cu, which is ROCm's code too, reads the memory of an integrated GPU from
#   /proc/meminfo, ROCm's runtime the CPUs from /proc/cpuinfo: `ProcSubset = "pid"` hides
#   them.
# - The unit's user has no home, and without a cache a Vulkan driver compiles its shaders at each
#   start, which takes minutes.
{ lib }:
backends:
let
  has = backend: lib.elem backend backends;
  # Above nixpkgs' own value, below the owner's mkForce.
  instead = lib.mkOverride 90;
in
{
  serviceConfig =
    lib.optionalAttrs (has "vulkan" || has "rocm") { SupplementaryGroups = [ "render" ]; }
    // lib.optionalAttrs (has "cuda" || has "rocm") { ProcSubset = instead "all"; }
    // lib.optionalAttrs (has "vulkan") {
      MemoryDenyWriteExecute = instead false;
      CacheDirectory = lib.mkDefault "llama-cpp";
    };
  environment = lib.optionalAttrs (has "vulkan") {
    XDG_CACHE_HOME = lib.mkDefault "/var/cache/llama-cpp";
  };
}
