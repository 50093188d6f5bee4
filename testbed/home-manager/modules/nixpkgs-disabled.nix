# `nixpkgs.*` with `useGlobalPkgs`: setting it is an error.
{ config, lib, ... }:
{
  options.nixpkgs = lib.genAttrs [ "config" "overlays" ] (
    _name:
    lib.mkOption {
      type = lib.types.unspecified;
      default = null;
      description = "Not available with `home-manager.useGlobalPkgs`.";
    }
  );
  config.assertions = [
    {
      assertion = config.nixpkgs.config == null && config.nixpkgs.overlays == null;
      message = "`nixpkgs` options are disabled when `home-manager.useGlobalPkgs` is enabled.";
    }
  ];
}
