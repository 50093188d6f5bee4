# A user's packages, files and variables.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.home;
  file =
    { name, config, ... }:
    {
      options = {
        enable = mkOption {
          type = types.bool;
          default = true;
          description = "Whether this file should be generated.";
        };
        target = mkOption {
          type = types.str;
          default = name;
          description = "Path to the target file, relative to the home directory.";
        };
        text = mkOption {
          type = types.nullOr types.lines;
          default = null;
          description = "Text of the file.";
        };
        source = mkOption {
          type = types.path;
          description = "Path of the source file or directory.";
        };
        executable = mkOption {
          type = types.nullOr types.bool;
          default = null;
          description = "Set the execute bit.";
        };
      };
      config.source = lib.mkIf (config.text != null) (
        lib.mkDefault (pkgs.writeText "hm_${lib.strings.sanitizeDerivationName name}" config.text)
      );
    };
in
{
  options = {
    home = {
      username = mkOption {
        type = types.str;
        description = "The user's username.";
      };
      homeDirectory = mkOption {
        type = types.path;
        description = "The user's home directory.";
      };
      stateVersion = mkOption {
        type = types.str;
        description = "The release that this configuration was first made for.";
      };
      packages = mkOption {
        type = types.listOf types.package;
        default = [ ];
        description = "Packages that should appear in the user profile.";
      };
      file = mkOption {
        type = types.attrsOf (types.submodule file);
        default = { };
        description = "Files to link into the user home.";
      };
      sessionVariables = mkOption {
        type = types.lazyAttrsOf (
          types.oneOf [
            types.str
            types.path
            types.int
            types.float
          ]
        );
        default = { };
        description = "Environment variables set at login.";
      };
      sessionPath = mkOption {
        type = types.listOf types.str;
        default = [ ];
        description = "Extra directories of PATH.";
      };
      shellAliases = mkOption {
        type = types.attrsOf types.str;
        default = { };
        description = "Aliases of all shells.";
      };
      path = mkOption {
        internal = true;
        description = "The derivation of all packages.";
      };
      activationPackage = mkOption {
        internal = true;
        type = types.package;
        description = "The package containing the complete activation script.";
      };
    };
    xdg.configFile = mkOption {
      type = types.attrsOf (types.submodule file);
      default = { };
      description = "Files to link into the user's XDG configuration home.";
    };
    assertions = mkOption {
      type = types.listOf types.unspecified;
      internal = true;
      default = [ ];
      description = "Conditions that must hold.";
    };
    warnings = mkOption {
      type = types.listOf types.str;
      internal = true;
      default = [ ];
      description = "Warnings to show.";
    };
    meta = mkOption {
      type = types.attrsOf types.unspecified;
      internal = true;
      default = { };
      description = "Maintainers of modules.";
    };
  };
  config.home = {
    path = pkgs.buildEnv {
      name = "home-manager-path";
      paths = cfg.packages;
    };
    file = lib.mapAttrs' (
      name: entry: lib.nameValuePair ".config/${name}" { inherit (entry) source; }
    ) config.xdg.configFile;
    activationPackage = pkgs.runCommandLocal "home-manager-generation" { } ''
      mkdir -p "$out"
      ln -s ${cfg.path} "$out/home-path"
      ln -s ${
        pkgs.linkFarm "home-manager-files" (
          map (entry: {
            name = entry.target;
            path = entry.source;
          }) (lib.filter (entry: entry.enable) (lib.attrValues cfg.file))
        )
      } "$out/home-files"
      printf '#!/bin/bash\necho %s\n' ${lib.escapeShellArg cfg.username} >"$out/activate"
      chmod +x "$out/activate"
    '';
  };
}
