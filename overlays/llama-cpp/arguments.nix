# The arguments of `mkLlamaCpp` in one normal form, so that equal variants are the same
# derivation.
{ lib }:
let
  sortedSet = list: lib.unique (lib.sort lib.lessThan list);

  defaults = {
    backends = [ "cpu" ];
    microarch = "dispatch";
    # Empty: every GPU that this nixpkgs builds for.
    cudaCapabilities = [ ];
    rocmTargets = [ ];
    # Beside the pairs that llama.cpp builds kernels for by default.
    kvCacheTypes = [ ];
    extraCmakeFlags = [ ];
    # In parts that hosts and revisions share, see parts.nix.
    modular = true;
  };

  # The names that upstream's and nixpkgs' packages have for a backend. Dependents write
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
  # No package has these unless it is asked for them.
  offAnyway = lib.attrValues renamed ++ [ "useMpi" ];
  foreign = switches // renamed // { rocmGpuTargets = "rocmTargets"; };
in
{
  # Every argument beside those of upstream's package.
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

      # A list in nixpkgs, a ";"-joined string upstream.
      gpuTargets = args.rocmGpuTargets or [ ];
    in
    asked
    // {
      # A list of one is that one.
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

  # The other arguments, for upstream's package. Dependents also switch off what is off anyway.
  forUpstream =
    args:
    lib.filterAttrs (name: value: !(lib.elem name offAnyway && value == false)) (
      lib.mapAttrs' (name: lib.nameValuePair (renamed.${name} or name)) (
        removeAttrs args (lib.attrNames (defaults // switches) ++ [ "rocmGpuTargets" ])
      )
    );
}
