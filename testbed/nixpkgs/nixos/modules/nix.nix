# The Nix daemon's settings.
{ lib, pkgs, ... }:
let
  inherit (lib) mkEnableOption mkOption types;
in
{
  options.nix = {
    enable = mkEnableOption "Nix" // {
      default = true;
    };
    package = mkOption {
      type = types.package;
      default = pkgs.nix;
      defaultText = lib.literalExpression "pkgs.nix";
      description = "The Nix package to use.";
    };
    settings = mkOption {
      type = types.submodule {
        freeformType = types.attrsOf (
          types.oneOf [
            types.bool
            types.int
            types.float
            types.str
            types.path
            (types.listOf types.str)
          ]
        );
        options = {
          system-features = mkOption {
            type = types.listOf types.str;
            default = [ ];
            description = "Features that this machine's builds may require.";
          };
          trusted-users = mkOption {
            type = types.listOf types.str;
            default = [ "root" ];
            description = "Users with additional rights when connecting to the Nix daemon.";
          };
          substituters = mkOption {
            type = types.listOf types.str;
            default = [ ];
            description = "Binary caches.";
          };
          trusted-public-keys = mkOption {
            type = types.listOf types.str;
            default = [ ];
            description = "Public keys that sign binary caches.";
          };
          max-jobs = mkOption {
            type = types.either types.int (types.enum [ "auto" ]);
            default = "auto";
            description = "How many builds run in parallel.";
          };
        };
      };
      default = { };
      description = "Configuration of Nix.";
    };
    distributedBuilds = mkEnableOption "distributed builds";
    buildMachines = mkOption {
      type = types.listOf (
        types.submodule {
          freeformType = types.attrsOf types.unspecified;
          options.hostName = mkOption {
            type = types.str;
            description = "The hostname of the build machine.";
          };
        }
      );
      default = [ ];
      description = "Machines to be used if distributed builds are enabled.";
    };
    gc.automatic = mkEnableOption "regular garbage collection";
    gc.dates = mkOption {
      type = types.singleLineStr;
      default = "03:15";
      description = "When the garbage collector runs.";
    };
    gc.options = mkOption {
      type = types.singleLineStr;
      default = "";
      description = "Options given to nix-collect-garbage.";
    };
    optimise.automatic = mkEnableOption "regular optimisation of the store";
    nixPath = mkOption {
      type = types.listOf types.str;
      default = [ ];
      description = "The default Nix expression search path.";
    };
    registry = mkOption {
      type = types.attrsOf types.unspecified;
      default = { };
      description = "A system-wide flake registry.";
    };
    extraOptions = mkOption {
      type = types.lines;
      default = "";
      description = "Additional text appended to nix.conf.";
    };
  };
}
