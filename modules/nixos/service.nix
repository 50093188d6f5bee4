# What the unit of `services.llama-cpp` needs for each GPU backend: access that nixpkgs' hardening
# denies, and a cache for compiled shaders.
#
# Both versions of nixpkgs' module (`model` and `extraFlags`; since mid-2026 `settings`) have the
# same hardening and do not restrict devices, so the permissions of the device files apply:
#
# - /dev/nvidia* are accessible to all users. /dev/dri/renderD* and /dev/kfd belong to the group
#   render, unless udev makes them accessible to all. The group video is not needed: it is for
#   /dev/dri/card*, the display.
# - Supplementary groups also work with `PrivateUsers`, because the kernel compares its own group
#   IDs, so that stays on. So does `MemoryDenyWriteExecute` for CUDA and ROCm, which only generate
#   GPU code; nixpkgs' ollama runs the same ggml code with both. A Vulkan driver may generate CPU
#   code, as NVIDIA's and llvmpipe do.
# - ggml-cuda.cu, which ROCm uses too, reads the memory of an integrated GPU from /proc/meminfo, and
#   ROCm's runtime reads the CPUs from /proc/cpuinfo. `ProcSubset = "pid"` hides both.
# - The unit's user has no home. Without a cache, a Vulkan driver compiles its shaders at each
#   start, which takes minutes.
{ lib }:
backends:
let
  has = backend: lib.elem backend backends;
  # Overrides nixpkgs' value, but not a user's mkForce.
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
