# Packages, variables and files of /etc.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
in
{
  options.environment = {
    systemPackages = mkOption {
      type = types.listOf types.package;
      default = [ ];
      description = "Packages available to all users.";
    };
    variables = mkOption {
      type = types.attrsOf (
        types.nullOr (
          types.oneOf [
            (types.listOf (
              types.oneOf [
                types.int
                types.str
                types.path
              ]
            ))
            types.int
            types.str
            types.path
          ]
        )
      );
      default = { };
      description = "Environment variables set at login.";
    };
    sessionVariables = mkOption {
      type = types.attrsOf types.unspecified;
      default = { };
      description = "Environment variables set by PAM.";
    };
    shellAliases = mkOption {
      type = types.attrsOf (types.nullOr types.str);
      default = { };
      description = "Aliases of all shells.";
    };
    pathsToLink = mkOption {
      type = types.listOf types.str;
      default = [ ];
      description = "Directories to be symlinked in the system's path.";
    };
    etc = mkOption {
      type = types.attrsOf (
        types.submodule (
          { name, config, ... }:
          {
            options = {
              enable = mkOption {
                type = types.bool;
                default = true;
                description = "Whether this /etc file should be generated.";
              };
              text = mkOption {
                type = types.nullOr types.lines;
                default = null;
                description = "Text of the file.";
              };
              source = mkOption {
                type = types.path;
                description = "Path of the source file.";
              };
              target = mkOption {
                type = types.str;
                default = name;
                description = "Name of the symlink, relative to /etc.";
              };
              mode = mkOption {
                type = types.str;
                default = "symlink";
                description = "The file's mode, where it is to be copied.";
              };
            };
            config.source = lib.mkIf (config.text != null) (
              lib.mkDefault (pkgs.writeText "etc-${baseNameOf name}" config.text)
            );
          }
        )
      );
      default = { };
      description = "Files in /etc.";
    };
  };
  config.system.build.etc = pkgs.linkFarm "etc" (
    map (file: {
      name = file.target;
      path = file.source;
    }) (lib.filter (file: file.enable) (lib.attrValues config.environment.etc))
  );
}
