# What `programs.llama-cpp` comes to, for NixOS and home-manager alike.
{ lib }:
cfg:
let
  arguments = {
    backends = lib.toList cfg.backend;
    inherit (cfg)
      microarch
      cudaCapabilities
      rocmTargets
      kvCacheTypes
      extraCmakeFlags
      modular
      ;
  };
  optionOf = name: "programs.llama-cpp.${if name == "backends" then "backend" else name}";
in
rec {
  # An overlay that tells ours what this fleet knows of its llama.cpp.
  builds = _final: _prev: { llamaCppBuilds = cfg.builds; };

  # What is wrong, in words that name the options.
  problems = pkgs: pkgs.mkLlamaCpp.problems arguments optionOf;

  assertions =
    pkgs:
    map (message: {
      assertion = false;
      inherit message;
    }) (problems pkgs);

  # The package alone fails with the same words, since it can be asked for
  # without anybody looking at the assertions.
  package =
    pkgs:
    let
      found = problems pkgs;
    in
    if found != [ ] then
      throw (lib.concatStringsSep "\n" found)
    # The very one that `pkgs.llama-cpp` is: it need not be evaluated twice.
    else if isIn pkgs then
      pkgs.llamaCppSelection.package
    else
      pkgs.mkLlamaCpp arguments;

  # Whether `select` has reached these packages, and not the one of another host.
  isIn = pkgs: pkgs.llamaCppSelection.arguments or null == arguments;

  # An overlay on top of ours: `pkgs.llama-cpp` is the machine's variant, and
  # `pkgs.llama-cpp-vulkan` and its like are built for the same CPU and GPUs.
  select =
    final: _prev:
    let
      only =
        backend:
        final.mkLlamaCpp (
          arguments
          // {
            backends = [ backend ];
            cudaCapabilities = lib.optionals (backend == "cuda") cfg.cudaCapabilities;
            rocmTargets = lib.optionals (backend == "rocm") cfg.rocmTargets;
            kvCacheTypes = lib.optionals (backend == "cuda" || backend == "rocm") cfg.kvCacheTypes;
          }
        );
    in
    {
      llamaCppSelection = {
        inherit arguments;
        package = final.mkLlamaCpp arguments;
      };

      llama-cpp = final.llamaCppSelection.package;
      llama-cpp-cpu = only "cpu";
      llama-cpp-cuda = only "cuda";
      llama-cpp-rocm = only "rocm";
      llama-cpp-vulkan = only "vulkan";
    };
}
