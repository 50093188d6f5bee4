# Normalizes the arguments of `mkLlamaCpp`, so that equal variants have the same derivation.
{ lib }:
let
  sortedSet = list: lib.unique (lib.sort lib.lessThan list);

  defaults = {
    backends = [ "cpu" ];
    microarch = "dispatch";
    # Empty: all GPUs that this nixpkgs supports.
    cudaCapabilities = [ ];
    rocmTargets = [ ];
    # In addition to the pairs for which llama.cpp builds kernels by default.
    kvCacheTypes = [ ];
    extraCmakeFlags = [ ];
    # Split into parts that hosts and revisions share, see parts.nix.
    modular = true;
  };

  # Upstream's and nixpkgs' arguments that select a backend. Dependent packages write
  # `llama-cpp.override { vulkanSupport = true; }`, which works for this package too.
  switches = {
    cudaSupport = "cuda";
    useCuda = "cuda";
    rocmSupport = "rocm";
    useRocm = "rocm";
    vulkanSupport = "vulkan";
    useVulkan = "vulkan";
  };
  renamed = {
    blasSupport = "useBlas";
    metalSupport = "useMetalKit";
    rpcSupport = "useRpc";
  };
  # These are off by default.
  offAnyway = lib.attrValues renamed ++ [ "useMpi" ];
  foreign = switches // renamed // { rocmGpuTargets = "rocmTargets"; };
in
{
  # All arguments besides those of upstream's package.
  names = lib.attrNames (defaults // foreign);

  normalise =
    args:
    let
      asked = defaults // lib.filterAttrs (name: value: defaults ? ${name} && value != null) args;

      switched =
        value:
        map (name: switches.${name}) (
          lib.filter (name: args.${name} or null == value) (lib.attrNames switches)
        );
      # Every build has the CPU backend, so "cpu" beside a GPU has no effect.
      gpus = lib.filter (backend: backend != "cpu") (
        lib.subtractLists (switched false) (sortedSet (asked.backends ++ switched true))
      );

      # A list in nixpkgs, a ";"-separated string upstream.
      gpuTargets = args.rocmGpuTargets or [ ];
    in
    asked
    // {
      # A list of one name is the same as the name.
      microarch =
        let
          names = sortedSet (lib.toList asked.microarch);
        in
        if lib.length names == 1 then lib.head names else names;
      backends = if gpus == [ ] && asked.backends != [ ] then [ "cpu" ] else gpus;
      cudaCapabilities = sortedSet asked.cudaCapabilities;
      kvCacheTypes = sortedSet asked.kvCacheTypes;
      rocmTargets = sortedSet (
        asked.rocmTargets
        ++ (if lib.isString gpuTargets then lib.splitString ";" gpuTargets else gpuTargets)
      );
    };

  # The remaining arguments, for upstream's package. Ignores `false` for what is off by default.
  forUpstream =
    args:
    lib.filterAttrs (name: value: !(lib.elem name offAnyway && value == false)) (
      lib.mapAttrs' (name: lib.nameValuePair (renamed.${name} or name)) (
        removeAttrs args (lib.attrNames (defaults // switches) ++ [ "rocmGpuTargets" ])
      )
    );
}
