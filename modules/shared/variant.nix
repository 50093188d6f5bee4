# The package that `programs.llama-cpp` selects, for NixOS and home-manager.
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
  # An overlay with the fleet's build numbers and releases.
  builds = _final: _prev: {
    llamaCppBuilds = cfg.builds;
    llamaCppReleases = cfg.releases;
  };

  # The errors, which name the options.
  problems = pkgs: pkgs.mkLlamaCpp.problems arguments optionOf;

  # Adds the files that set the option, which NixOS does not print for an assertion.
  assertions =
    options: pkgs:
    map (
      message:
      let
        name = lib.head (builtins.match "programs[.]llama-cpp[.]([A-Za-z]+).*" message);
        files = lib.remove "<unknown-file>" (map toString options.programs.llama-cpp.${name}.files);
      in
      {
        assertion = false;
        message =
          message + lib.optionalString (files != [ ]) " It is set in `${lib.concatStringsSep "', `" files}'.";
      }
    ) (problems pkgs);

  # The package throws the same messages, because it can be evaluated without the assertions.
  package =
    pkgs:
    let
      found = problems pkgs;
    in
    if found != [ ] then
      throw (lib.concatStringsSep "\n" found)
    # Uses the value of `pkgs.llama-cpp`, so that it is evaluated once.
    else if isIn pkgs then
      pkgs.llamaCppSelection.package
    else
      pkgs.mkLlamaCpp arguments;

  # Whether these packages have this host's overlay.
  isIn = pkgs: pkgs.llamaCppSelection.arguments or null == arguments;

  # An overlay that makes `pkgs.llama-cpp` the machine's variant, and builds
  # `pkgs.llama-cpp-vulkan` and the others for the same CPU and GPUs.
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
