# `flakeModules`: optional modules for flakes.
{
  easyOverlay =
    {
      config,
      lib,
      flake-parts-lib,
      getSystemIgnoreWarning,
      ...
    }:
    let
      root = config;
    in
    {
      options.perSystem = flake-parts-lib.mkPerSystemOption (
        { extendModules, pkgs, ... }:
        {
          _file = "flake-parts/flake-modules.nix#easyOverlay";
          options = {
            extendModules = lib.mkOption {
              type = lib.types.raw;
              default = extendModules;
              internal = true;
            };
            overlayAttrs = lib.mkOption {
              type = lib.types.lazyAttrsOf lib.types.raw;
              default = { };
              description = "The attributes of `overlays.default`.";
            };
          };
          config._module.args.final = lib.mkDefault (pkgs.extend root.flake.overlays.default);
        }
      );
      config.flake.overlays.default =
        final: prev:
        let
          system = getSystemIgnoreWarning prev.stdenv.hostPlatform.system;
          ofOverlay = system.extendModules {
            modules = [
              {
                _module.args = {
                  pkgs = lib.mkForce prev;
                  final = lib.mkForce final;
                };
              }
            ];
          };
        in
        ofOverlay.config.overlayAttrs;
    };

  flakeModules =
    {
      lib,
      flake-parts-lib,
      moduleLocation,
      ...
    }:
    {
      options.flake = lib.mkOption {
        type = lib.types.submoduleWith {
          modules = [
            (flake-parts-lib.mkAliasOptionModule
              [ "flakeModule" ]
              [
                "flakeModules"
                "default"
              ]
            )
            {
              options.flakeModules = lib.mkOption {
                type = lib.types.lazyAttrsOf lib.types.deferredModule;
                default = { };
                apply = lib.mapAttrs (
                  name: module:
                  let
                    place = "${toString moduleLocation}#flakeModules.${name}";
                  in
                  {
                    _class = "flake";
                    _file = place;
                    key = place;
                    imports = [ module ];
                  }
                );
                description = "Modules of flake-parts for other flakes.";
              };
            }
          ];
        };
      };
    };

  modules =
    { lib, moduleLocation, ... }:
    {
      options.flake.modules = lib.mkOption {
        type = lib.types.lazyAttrsOf (lib.types.lazyAttrsOf lib.types.deferredModule);
        default = { };
        description = "Modules by their class; those of the class `generic` fit everywhere.";
        apply = lib.mapAttrs (
          class:
          if class == "generic" then
            modules: modules
          else
            lib.mapAttrs (
              # A function, because a submodule always takes a function as a module.
              name: module:
              { ... }:
              {
                _class = class;
                _file = "${toString moduleLocation}#modules.${class}.${name}";
                imports = [ module ];
              }
            )
        );
      };
    };

  partitions =
    {
      config,
      lib,
      inputs,
      self,
      extendModules,
      partitionStack,
      ...
    }:
    let
      inherit (lib) mkOption types;
      partition =
        {
          config,
          options,
          name,
          ...
        }:
        {
          options = {
            extraInputsFlake = mkOption {
              type = types.raw;
              description = "A flake whose inputs the partition has as well.";
            };
            extraInputs = mkOption {
              type = types.lazyAttrsOf types.raw;
              # The fleet's lock file does not lock the inputs of a flake inside the fleet.
              default =
                if options.extraInputsFlake.isDefined then
                  throw "flake-parts in the testbed lacks the inputs of the partition `${name}`"
                else
                  { };
              description = "Inputs that the partition has as well.";
            };
            module = mkOption {
              type =
                (extendModules {
                  specialArgs =
                    let
                      ofPartition = inputs // config.extraInputs // { self = extended; };
                      extended = self // {
                        inputs = ofPartition;
                      };
                    in
                    {
                      inputs = ofPartition;
                      self = extended;
                      partitionStack = partitionStack ++ [ name ];
                    };
                }).type;
              default = { };
              description = "Modules of the partition alone.";
            };
          };
        };
    in
    {
      options = {
        partitionedAttrs = mkOption {
          type = types.attrsOf types.str;
          default = { };
          description = "Flake outputs, and the partition that each is taken from.";
        };
        partitions = mkOption {
          type = types.attrsOf (types.submodule partition);
          default = { };
          description = "Evaluations of their own for some of the flake's outputs.";
        };
      };
      config = {
        _module.args.partitionStack = [ ];
        flake = lib.optionalAttrs (partitionStack == [ ]) (
          lib.mapAttrs (
            attribute: name: lib.mkForce config.partitions.${name}.module.flake.${attribute}
          ) config.partitionedAttrs
        );
      };
    };

  bundlers =
    { lib, flake-parts-lib, ... }:
    flake-parts-lib.mkTransposedPerSystemModule {
      name = "bundlers";
      option = lib.mkOption {
        type = lib.types.lazyAttrsOf (lib.types.functionTo lib.types.package);
        default = { };
        description = "Functions from a derivation to a derivation, for `nix bundle`.";
      };
      file = "flake-parts/flake-modules.nix#bundlers";
    };
}
