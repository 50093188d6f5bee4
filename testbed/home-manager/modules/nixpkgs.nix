# A user's `pkgs`: the given one with `nixpkgs.config` and overlays.
{
  config,
  lib,
  basePkgs,
  ...
}:
let
  cfg = config.nixpkgs;
in
{
  options.nixpkgs = {
    config = lib.mkOption {
      type = lib.types.nullOr lib.types.attrs;
      default = null;
      description = "The configuration of the Nix Packages collection.";
    };
    overlays = lib.mkOption {
      type = lib.types.nullOr (lib.types.listOf lib.types.raw);
      default = null;
      description = "List of overlays to apply to Nixpkgs.";
    };
    system = lib.mkOption {
      type = lib.types.str;
      default = basePkgs.stdenv.hostPlatform.system;
      description = "The system that packages are for.";
    };
  };
  config._module.args.pkgs =
    if cfg.config == null && cfg.overlays == null then
      basePkgs
    else
      import basePkgs.path {
        inherit (cfg) system;
        config = if cfg.config == null then basePkgs.config else cfg.config;
        overlays = basePkgs.overlays ++ (if cfg.overlays == null then [ ] else cfg.overlays);
      };
}
