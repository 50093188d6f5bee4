# The built-in modules: `systems`, `perSystem` and the flake outputs.
{
  config,
  lib,
  flake-parts-lib,
  inputs,
  moduleLocation,
  self,
  ...
}:
let
  inherit (lib) mkOption types;
  root = config;

  packageSet = mkOption {
    type = types.lazyAttrsOf types.package;
    default = { };
    description = "An attribute set of packages.";
  };
  transposed = {
    packages = packageSet;
    checks = packageSet;
    devShells = packageSet;
    legacyPackages = mkOption {
      # `raw`, because values may be nested, throw, or contain functions.
      type = types.lazyAttrsOf types.raw;
      default = { };
      description = "Unmerged values, possibly nested.";
    };
    formatter = mkOption {
      type = types.nullOr types.package;
      default = null;
      description = "The package that `nix fmt` runs.";
    };
    apps = mkOption {
      type = types.lazyAttrsOf (
        types.submodule {
          options = {
            type = mkOption {
              type = types.enum [ "app" ];
              default = "app";
              description = "A type tag for `apps` consumers.";
            };
            program = mkOption {
              type = types.coercedTo types.package lib.getExe types.str;
              description = "A path to an executable.";
            };
            meta = mkOption {
              type = types.lazyAttrsOf types.raw;
              default = { };
              description = "Metadata of the app.";
            };
          };
        }
      );
      default = { };
      description = "Programs runnable with `nix run .#<name>`.";
    };
  };

  argumentModule =
    {
      config,
      options,
      specialArgs,
      system,
      ...
    }:
    {
      _file = "flake-parts/module.nix";
      options = transposed // {
        allModuleArgs = mkOption {
          type = types.lazyAttrsOf types.raw;
          internal = true;
          readOnly = true;
          description = "What `withSystem` passes.";
        };
      };
      config.allModuleArgs = config._module.args // specialArgs // { inherit config options; };
      config._module.args = {
        pkgs = lib.mkOptionDefault (
          inputs.nixpkgs.legacyPackages.${system}
            or (throw "flake-parts: inputs.nixpkgs has no legacyPackages.${system}")
        );
        inputs' = lib.mapAttrs (_: root.perInput system) inputs;
        self' = root.perInput system self;
      };
    };
in
{
  options = {
    systems = mkOption {
      type = types.listOf types.str;
      description = "All the system types to enumerate in the flake's outputs.";
    };
    perSystem = mkOption {
      type = flake-parts-lib.mkPerSystemType argumentModule;
      default = { };
      apply =
        module: system:
        (lib.evalModules {
          modules = [ module ];
          prefix = [
            "perSystem"
            system
          ];
          specialArgs = { inherit system; };
          class = "perSystem";
        }).config;
      description = "A function from system to flake-like attributes without the system.";
    };
    perInput = mkOption {
      type = types.functionTo (types.functionTo (types.lazyAttrsOf types.unspecified));
      description = "Pre-processes a flake input for one system.";
    };
    allSystems = mkOption {
      type = types.lazyAttrsOf types.unspecified;
      internal = true;
      description = "The configuration of each of the systems.";
    };
    transposition = mkOption {
      type = types.lazyAttrsOf (types.submodule { });
      default = { };
      description = "Names whose `perSystem.NAME` becomes `flake.NAME.SYSTEM`.";
    };
    debug = lib.mkEnableOption "additional flake outputs for debugging";
    flake = mkOption {
      type = types.submoduleWith {
        modules = [
          {
            freeformType = types.lazyAttrsOf (
              types.unique {
                message = "No option has been declared for this flake output attribute, so its definitions can't be merged automatically.";
              } types.raw
            );
            options = {
              overlays = mkOption {
                type = types.lazyAttrsOf (
                  types.uniq (types.functionTo (types.functionTo (types.lazyAttrsOf types.unspecified)))
                );
                default = { };
                description = "Overlays.";
              };
              nixosConfigurations = mkOption {
                type = types.lazyAttrsOf types.raw;
                default = { };
                description = "Instantiated NixOS configurations.";
              };
              nixosModules = mkOption {
                type = types.lazyAttrsOf types.deferredModule;
                default = { };
                apply = lib.mapAttrs (
                  name: module: {
                    _class = "nixos";
                    _file = "${toString moduleLocation}#nixosModules.${name}";
                    imports = [ module ];
                  }
                );
                description = "NixOS modules.";
              };
            };
          }
        ];
      };
      description = "The flake's outputs.";
    };
    processedFlake = mkOption {
      type = types.raw;
      default = config.flake;
      description = "The flake's outputs as `mkFlake` returns them.";
    };
  };

  config = {
    transposition = lib.mapAttrs (_: _: { }) transposed;
    allSystems = lib.genAttrs config.systems config.perSystem;
    flake = lib.mapAttrs (
      name: _:
      # The formatter is optional, and `null` is not a valid output.
      lib.filterAttrs (_: value: name != "formatter" || value != null) (
        lib.mapAttrs (_: system: system.${name}) config.allSystems
      )
    ) config.transposition;
    perInput =
      system: flake:
      lib.mapAttrs (
        name: _: flake.${name}.${system} or (throw "flake-parts: the flake has no ${name}.${system}")
      ) config.transposition;
    _module.args = rec {
      getSystem = system: config.allSystems.${system} or (config.perSystem system);
      getSystemIgnoreWarning = getSystem;
      withSystem = system: f: f (getSystem system).allModuleArgs;
      # Looks up each parameter of the module separately, so that others are not evaluated.
      moduleWithSystem =
        module:
        { config, ... }:
        let
          system = config._module.args.system or config._module.args.pkgs.stdenv.hostPlatform.system;
          arguments = (getSystem system).allModuleArgs;
        in
        {
          imports = [ (module (lib.mapAttrs (name: _: arguments.${name}) (lib.functionArgs module))) ];
        };
    };
  };
}
