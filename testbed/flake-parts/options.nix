# What flake-parts gives to modules as `flake-parts-lib`.
{ lib }:
let
  inherit (lib) mkOption types;
in
rec {
  # A module that is evaluated once for each system, in pieces from many files.
  mkPerSystemType =
    module:
    types.deferredModuleWith {
      staticModules = [ module ];
    };
  mkPerSystemOption = module: mkOption { type = mkPerSystemType module; };
  mkSubmoduleOptions =
    options:
    mkOption {
      type = types.submoduleWith { modules = [ { inherit options; } ]; };
    };
  # `perSystem.NAME` that becomes `flake.NAME.SYSTEM`.
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
