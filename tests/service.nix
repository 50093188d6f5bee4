# `services.llama-cpp` on a host with the module, for each version of nixpkgs' module that this
# nixpkgs has. The testbed has both.
{
  flake,
  lib,
  systemWith,
  ...
}:
let
  nixos = "${flake.inputs.nixpkgs}/nixos/modules";
  hasBothShapes = builtins.pathExists "${nixos}/llama-cpp-flags.nix";

  flagsShape = import ./flags-shape.nix;

  serving =
    { options, ... }:
    {
      services.llama-cpp = {
        enable = true;
      }
      // (
        if options.services.llama-cpp ? settings then
          { settings.model = "/model.gguf"; }
        else
          { model = "/model.gguf"; }
      );
    };

  # One type is set by a flag, the other by a variable.
  quantisedCache =
    { options, ... }:
    {
      systemd.services.llama-cpp.environment.LLAMA_ARG_CACHE_TYPE_V = "q5_1";
      services.llama-cpp =
        if options.services.llama-cpp ? settings then
          { settings.cache-type-k = "q8_0"; }
        else
          {
            extraFlags = [
              "--cache-type-k"
              "q8_0"
            ];
          };
    };

  hostWith = modules: (systemWith ([ { nixpkgs.config.allowUnfree = true; } ] ++ modules)).config;

  shapes = {
    default = [ serving ];
  }
  // lib.optionalAttrs hasBothShapes {
    flags = [
      flagsShape
      serving
    ];
  };
  inEachShape = test: lib.mapAttrs (_shape: test) shapes;
  always = value: inEachShape (_: value);

  unit = config: config.systemd.services.llama-cpp.serviceConfig;
  unitOf = programs: modules: unit (hostWith (modules ++ [ { programs.llama-cpp = programs; } ]));
  enabled =
    backend:
    unitOf {
      enable = true;
      microarch = "znver4";
      inherit backend;
    };

  # One system for each version, shared by all tests.
  plain = inEachShape (unitOf { });
  cpu = inEachShape (enabled "cpu");

  # The module's changes to the unit, except its program.
  changes =
    units:
    lib.mapAttrs (
      shape: unit:
      lib.filterAttrs (name: value: name != "ExecStart" && plain.${shape}.${name} or null != value) unit
    ) units;
  changesFor = backend: changes (inEachShape (enabled backend));
in
{
  "both forms are tested if nixpkgs has them" = {
    expr = inEachShape (modules: (hostWith modules).services.llama-cpp ? settings);
    expected =
      if hasBothShapes then
        {
          default = true;
          flags = false;
        }
      else
        always ((hostWith shapes.default).services.llama-cpp ? settings);
  };
  "the service runs the host's variant" = {
    expr = lib.mapAttrs (
      _shape: unit:
      lib.any (word: builtins.match ".*-llama-cpp-cpu-znver4-[^/]*/bin/llama-server" word != null) (
        lib.splitString " " (builtins.unsafeDiscardStringContext (toString unit.ExecStart))
      )
    ) cpu;
    expected = always true;
  };
  "the CPU backend changes nothing" = {
    expr = changes cpu;
    expected = always { };
  };
  "a disabled module changes nothing" = {
    expr = changes (
      inEachShape (unitOf {
        enable = false;
      })
    );
    expected = always { };
  };
  "Vulkan gets the render nodes and may write code" = {
    expr = changesFor "vulkan";
    expected =
      let
        changed = {
          MemoryDenyWriteExecute = false;
          SupplementaryGroups = [ "render" ];
        };
      in
      always changed
      // lib.optionalAttrs hasBothShapes {
        # nixpkgs' module with `settings` already sets the folder.
        flags = changed // {
          CacheDirectory = "llama-cpp";
        };
      };
  };
  "and a place for its shaders, which the others do not need" = {
    expr = lib.genAttrs [ "cpu" "cuda" "vulkan" ] (
      backend:
      inEachShape (
        modules:
        (hostWith (
          modules
          ++ [
            {
              programs.llama-cpp = {
                enable = true;
                inherit backend;
              };
            }
          ]
        )).systemd.services.llama-cpp.environment.XDG_CACHE_HOME or null
      )
    );
    expected = {
      cpu = always null;
      cuda = always null;
      vulkan = always "/var/cache/llama-cpp";
    };
  };
  "CUDA may read /proc/meminfo, and needs no group" = {
    expr = changesFor "cuda";
    expected = always { ProcSubset = "all"; };
  };
  "ROCm gets kfd and the render nodes" = {
    expr = changesFor "rocm";
    expected = always {
      ProcSubset = "all";
      SupplementaryGroups = [ "render" ];
    };
  };
  "several backends get what each needs" = {
    expr = changesFor [
      "cuda"
      "rocm"
    ];
    expected = always {
      ProcSubset = "all";
      SupplementaryGroups = [ "render" ];
    };
  };
  "kernels are built for the service's KV cache" = {
    expr = inEachShape (
      modules:
      let
        config = backend: settings: (host backend settings).programs.llama-cpp;
        host =
          backend: settings:
          hostWith (
            modules
            ++ [
              settings
              quantisedCache
              {
                programs.llama-cpp = {
                  enable = true;
                  inherit backend;
                };
              }
            ]
          );
        cudaHost = host "cuda" { };
        cuda = cudaHost.programs.llama-cpp;
      in
      {
        inherit (cuda) kvCacheTypes;
        service = cuda.manifest.service.kvCacheTypes;
        built = lib.elem "q8_0-q5_1" cuda.manifest.kvKernels;
        # For the lines that a sweep prints.
        sweep = cuda.manifest.serviceHasExtraFlags == !(cudaHost.services.llama-cpp ? settings);
        vulkan = (config "vulkan" { }).kvCacheTypes;
        # A template from the package. Without the option, the package would depend on itself.
        explicit =
          (config "cuda" (
            { config, options, ... }:
            {
              programs.llama-cpp.kvCacheTypes = [ "q4_0-q4_1" ];
              services.llama-cpp =
                let
                  file = "${config.programs.llama-cpp.package}/template.jinja";
                in
                if options.services.llama-cpp ? settings then
                  { settings.chat-template-file = file; }
                else
                  {
                    extraFlags = [
                      "--chat-template-file"
                      file
                    ];
                  };
            }
          )).manifest.kvCacheTypes;
      }
    );
    expected = always {
      kvCacheTypes = [ "q8_0-q5_1" ];
      service = [ "q8_0-q5_1" ];
      built = true;
      sweep = true;
      vulkan = [ ];
      explicit = [ "q4_0-q4_1" ];
    };
  };
  "and for what llama-bench is to measure" = {
    expr =
      (hostWith [
        {
          programs.llama-cpp = {
            enable = true;
            backend = "rocm";
            bench.args = [
              "-ctk"
              "q8_0"
            ];
          };
        }
      ]).programs.llama-cpp.kvCacheTypes;
    expected = [ "q8_0-f16" ];
  };
  "threads are the service's and llama-bench's, unless a flag sets them" = {
    expr = inEachShape (
      modules:
      let
        config =
          settings:
          hostWith (
            modules
            ++ [
              settings
              {
                programs.llama-cpp = {
                  enable = true;
                  threads = 6;
                };
              }
            ]
          );
        plain = config { };
        byFlag = config (
          { options, ... }:
          {
            services.llama-cpp =
              if options.services.llama-cpp ? settings then
                { settings.threads = 20; }
              else
                {
                  extraFlags = [
                    "-t"
                    "20"
                  ];
                };
          }
        );
      in
      {
        variable = plain.systemd.services.llama-cpp.environment.LLAMA_ARG_THREADS;
        manifest = plain.programs.llama-cpp.manifest.threads;
        service = plain.programs.llama-cpp.manifest.service.threads;
        byFlag = byFlag.programs.llama-cpp.manifest.service.threads;
      }
    );
    expected = always {
      variable = "6";
      manifest = 6;
      service = 6;
      byFlag = 20;
    };
  };
  "the owner's definitions win" = {
    expr = inEachShape (
      modules:
      let
        config = hostWith (
          modules
          ++ [
            {
              programs.llama-cpp = {
                enable = true;
                backend = "vulkan";
              };
              systemd.services.llama-cpp.serviceConfig = {
                MemoryDenyWriteExecute = lib.mkForce true;
                SupplementaryGroups = [ "models" ];
              };
            }
          ]
        );
      in
      {
        inherit (unit config) MemoryDenyWriteExecute;
        groups = lib.sort lib.lessThan (unit config).SupplementaryGroups;
      }
    );
    expected = always {
      MemoryDenyWriteExecute = true;
      groups = [
        "models"
        "render"
      ];
    };
  };
  "without the service there is no unit" = {
    expr =
      (hostWith [
        {
          programs.llama-cpp = {
            enable = true;
            backend = "vulkan";
          };
        }
      ]).systemd.services
        ? llama-cpp;
    expected = false;
  };
}
