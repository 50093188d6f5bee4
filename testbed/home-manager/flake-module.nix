# The flake-parts module for homes and home modules.
{ lib, moduleLocation, ... }:
let
  inherit (lib) mkOption types;
  modules =
    attribute:
    mkOption {
      type = types.lazyAttrsOf types.deferredModule;
      default = { };
      apply = lib.mapAttrs (
        name: module: {
          _file = "${toString moduleLocation}#${attribute}.${name}";
          imports = [ module ];
        }
      );
      description = "Modules of home-manager.";
    };
in
{
  options.flake = {
    homeConfigurations = mkOption {
      type = types.lazyAttrsOf types.raw;
      default = { };
      description = "Homes of their own, outside of NixOS.";
    };
    homeModules = modules "homeModules";
    homeManagerModules = modules "homeManagerModules";
  };
}
