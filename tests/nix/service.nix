# `services.llama-cpp` on a host with the module, in both shapes of nixpkgs' own module. A
# nixpkgs that is not the testbed's has one of them: then that one is tested twice.
{ flake, lib }:
let
  nixos = "${flake.inputs.nixpkgs}/nixos/modules";

  newShape =
    { modulesPath, ... }:
    lib.optionalAttrs (builtins.pathExists "${nixos}/llama-cpp-settings.nix") {
      disabledModules = [ "llama-cpp.nix" ];
      imports = [ "${modulesPath}/llama-cpp-settings.nix" ];
    };

  hostWith =
    modules:
    (flake.inputs.nixpkgs.lib.nixosSystem {
      modules = [
        flake.nixosModules.default
        {
          nixpkgs.hostPlatform = "x86_64-linux";
          nixpkgs.config.allowUnfree = true;
          networking.hostName = "example";
          system.stateVersion = "25.05";
        }
      ]
      ++ modules;
    }).config;

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

  shapes = {
    "model and extraFlags" = [ serving ];
    "settings" = [
      newShape
      serving
    ];
  };
  inBoth = test: lib.mapAttrs (_shape: test) shapes;

  unit = config: config.systemd.services.llama-cpp.serviceConfig;
  # What the module changes in the unit, beside the program that it runs.
  changes =
    programs: modules:
    let
      of = settings: removeAttrs (unit (hostWith (modules ++ [ settings ]))) [ "ExecStart" ];
      without = of { };
      with' = of {
        programs.llama-cpp = {
          enable = true;
        }
        // programs;
      };
    in
    lib.filterAttrs (name: value: without.${name} or null != value) with';
  changesFor =
    backend:
    lib.attrValues (
      inBoth (changes {
        inherit backend;
      })
    );
  both = value: [
    value
    value
  ];
in
{
  "the shapes are two" = {
    expr = lib.mapAttrs (_: modules: (hostWith modules).services.llama-cpp ? settings) shapes;
    expected =
      if builtins.pathExists "${nixos}/llama-cpp-settings.nix" then
        {
          "model and extraFlags" = false;
          "settings" = true;
        }
      else
        lib.mapAttrs (_: modules: (hostWith modules).services.llama-cpp ? settings) shapes;
  };
  "it runs the host's variant" = {
    expr = lib.attrValues (
      inBoth (
        modules:
        let
          config = hostWith (
            modules
            ++ [
              {
                programs.llama-cpp = {
                  enable = true;
                  microarch = "znver4";
                };
              }
            ]
          );
        in
        lib.any (lib.hasPrefix (builtins.unsafeDiscardStringContext "${config.programs.llama-cpp.package}/bin/llama-server")) (
          lib.splitString " " (builtins.unsafeDiscardStringContext (toString (unit config).ExecStart))
        )
      )
    );
    expected = both true;
  };
  "for the CPU nothing is opened" = {
    expr = changesFor "cpu";
    expected = both { };
  };
  "nor for the host that does not use the module" = {
    expr = lib.attrValues (
      inBoth (changes {
        enable = false;
      })
    );
    expected = both { };
  };
  "Vulkan gets the render nodes, and drivers that compile" = {
    expr = changesFor "vulkan";
    expected = both {
      MemoryDenyWriteExecute = false;
      SupplementaryGroups = [ "render" ];
    };
  };
  "CUDA sees the memory, and needs no group" = {
    expr = changesFor "cuda";
    expected = both { ProcSubset = "all"; };
  };
  "ROCm gets kfd and the render nodes" = {
    expr = changesFor "rocm";
    expected = both {
      ProcSubset = "all";
      SupplementaryGroups = [ "render" ];
    };
  };
  "several backends get what each needs" = {
    expr = changesFor [
      "cuda"
      "rocm"
    ];
    expected = both {
      ProcSubset = "all";
      SupplementaryGroups = [ "render" ];
    };
  };
  "the owner has the last word" = {
    expr = lib.attrValues (
      inBoth (
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
      )
    );
    expected = both {
      MemoryDenyWriteExecute = true;
      groups = [
        "models"
        "render"
      ];
    };
  };
  "no unit appears where the service is not used" = {
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
