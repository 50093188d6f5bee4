# `services.llama-cpp` on a host with the module, in each shape of nixpkgs' own module that
# this nixpkgs has: the testbed's has both.
{ flake, lib }:
let
  nixos = "${flake.inputs.nixpkgs}/nixos/modules";
  hasBothShapes = builtins.pathExists "${nixos}/llama-cpp-settings.nix";

  newShape =
    { modulesPath, ... }:
    {
      disabledModules = [ "llama-cpp.nix" ];
      imports = [ "${modulesPath}/llama-cpp-settings.nix" ];
    };

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

  shapes = {
    default = [ serving ];
  }
  // lib.optionalAttrs hasBothShapes {
    settings = [
      newShape
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

  # One system for each shape, which all tests share.
  plain = inEachShape (unitOf { });
  cpu = inEachShape (enabled "cpu");

  # What the module changes in the unit, except for the program that it runs.
  changes =
    units:
    lib.mapAttrs (
      shape: unit:
      lib.filterAttrs (name: value: name != "ExecStart" && plain.${shape}.${name} or null != value) unit
    ) units;
  changesFor = backend: changes (inEachShape (enabled backend));
in
{
  "both shapes are tested where nixpkgs has them" = {
    expr = inEachShape (modules: (hostWith modules).services.llama-cpp ? settings);
    expected =
      if hasBothShapes then
        {
          default = false;
          settings = true;
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
    expected = always {
      MemoryDenyWriteExecute = false;
      SupplementaryGroups = [ "render" ];
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
