# The module argument `flake-parts-lib`.
{ lib, flakeModules }:
let
  inherit (lib) mkOption types;
in
rec {
  # The type of `perSystem`: modules that are evaluated once per system.
  mkPerSystemType =
    module:
    types.deferredModuleWith {
      staticModules = [ module ];
    };
  mkPerSystemOption = module: mkOption { type = mkPerSystemType module; };
  # Older names of these functions.
  mkDeferredModuleType = mkPerSystemType;
  mkDeferredModuleOption = mkPerSystemOption;
  inherit (types) deferredModuleWith attrsWith;
  inherit (lib) mkAliasOptionModule;
  inherit (lib.modules) importApply;
  # An optimization in flake-parts, without other effects.
  memoizeStr = function: function;
  # Imports a module, and publishes it as `modules.flake.NAME`.
  importAndPublish = name: module: {
    _class = "flake";
    imports = [
      module
      flakeModules.modules
    ];
    flake.modules.flake.${name} = module;
  };
  mkSubmoduleOptions =
    options:
    mkOption {
      type = types.submoduleWith { modules = [ { inherit options; } ]; };
    };
  # Declares `perSystem.NAME`, which becomes `flake.NAME.SYSTEM`.
  mkTransposedPerSystemModule =
    {
      name,
      option,
      file,
    }:
    {
      _file = file;
      options = {
        flake = mkSubmoduleOptions {
          ${name} = mkOption {
            type = types.attrsOf option.type;
            default = { };
            description = "See {option}`perSystem.${name}`.";
          };
        };
        perSystem = mkPerSystemOption {
          _file = file;
          options.${name} = option;
        };
      };
      config.transposition.${name} = { };
    };
}
