# For a system with a given `pkgs`: `nixpkgs.*` are read-only and describe it. As in Nixpkgs, a
# second definition is an error.
{ config, lib, ... }:
let
  cfg = config.nixpkgs;
  once =
    name:
    lib.mkOption {
      internal = true;
      type = lib.types.unique { message = "nixpkgs.${name} is set to read-only"; } lib.types.anything;
      description = "The `${name}` of the given pkgs.";
    };
  platform = lib.mkOption {
    internal = true;
    readOnly = true;
    description = "The platform of the given pkgs.";
  };
in
{
  disabledModules = [ ./nixpkgs.nix ];
  options.nixpkgs = {
    pkgs = lib.mkOption {
      type = lib.types.pkgs;
      description = "The pkgs module argument.";
    };
    config = once "config";
    overlays = once "overlays";
    hostPlatform = platform;
    buildPlatform = platform;
  };
  config = {
    _module.args.pkgs = builtins.seq cfg.config (
      builtins.seq cfg.overlays (builtins.seq cfg.hostPlatform cfg.pkgs)
    );
    nixpkgs = {
      inherit (cfg.pkgs) config overlays;
      inherit (cfg.pkgs.stdenv) hostPlatform buildPlatform;
    };
  };
}
