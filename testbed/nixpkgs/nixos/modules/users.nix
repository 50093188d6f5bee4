# User accounts and their packages.
{ config, lib, ... }:
let
  inherit (lib) mkEnableOption mkOption types;
  user =
    { name, ... }:
    {
      options = {
        name = mkOption {
          type = types.str;
          default = name;
          description = "The name of the account.";
        };
        description = mkOption {
          type = types.passwdEntry types.str;
          default = "";
          description = "The full name.";
        };
        isNormalUser = mkEnableOption "the settings of a real person's account";
        isSystemUser = mkEnableOption "the settings of a service's account";
        uid = mkOption {
          type = types.nullOr types.int;
          default = null;
          description = "The account's number.";
        };
        group = mkOption {
          type = types.str;
          default = "";
          description = "The primary group.";
        };
        extraGroups = mkOption {
          type = types.listOf types.str;
          default = [ ];
          description = "The other groups.";
        };
        home = mkOption {
          type = types.passwdEntry types.path;
          default = if name == "root" then "/root" else "/home/${name}";
          description = "The home directory.";
        };
        shell = mkOption {
          type = types.nullOr (types.either types.shellPackage (types.passwdEntry types.path));
          default = null;
          description = "The login shell.";
        };
        packages = mkOption {
          type = types.listOf types.package;
          default = [ ];
          description = "Packages of this user.";
        };
        hashedPassword = mkOption {
          type = types.nullOr (types.passwdEntry types.str);
          default = null;
          description = "The hashed password.";
        };
        initialPassword = mkOption {
          type = types.nullOr types.str;
          default = null;
          description = "The password of a new account.";
        };
        openssh.authorizedKeys.keys = mkOption {
          type = types.listOf types.singleLineStr;
          default = [ ];
          description = "Keys that log in to this account.";
        };
      };
    };
in
{
  options.users = {
    mutableUsers = mkEnableOption "changes to accounts by hand" // {
      default = true;
    };
    users = mkOption {
      type = types.attrsOf (types.submodule user);
      default = { };
      description = "Accounts to be created.";
    };
    groups = mkOption {
      type = types.attrsOf (
        types.submodule {
          options.gid = mkOption {
            type = types.nullOr types.int;
            default = null;
            description = "The group's number.";
          };
          options.members = mkOption {
            type = types.listOf types.str;
            default = [ ];
            description = "Accounts in the group.";
          };
        }
      );
      default = { };
      description = "Groups to be created.";
    };
    defaultUserShell = mkOption {
      type = types.nullOr (types.either types.path types.shellPackage);
      default = null;
      description = "The shell of accounts that name none.";
    };
  };

  config = {
    users.users.root = {
      uid = 0;
      group = "root";
    };
    assertions = lib.mapAttrsToList (name: user: {
      assertion = user.isNormalUser != (user.isSystemUser || user.uid != null && user.uid < 1000);
      message = "Exactly one of users.users.${name}.isSystemUser and users.users.${name}.isNormalUser must be set.";
    }) config.users.users;
    environment.etc =
      lib.mapAttrs' (
        name: user:
        lib.nameValuePair "profiles/per-user/${name}" {
          text = lib.concatMapStrings (package: "${package}\n") user.packages;
        }
      ) (lib.filterAttrs (_: user: user.packages != [ ]) config.users.users)
      // lib.mapAttrs' (
        name: user:
        lib.nameValuePair "ssh/authorized_keys.d/${name}" {
          text = lib.concatMapStrings (key: "${key}\n") user.openssh.authorizedKeys.keys;
        }
      ) (lib.filterAttrs (_: user: user.openssh.authorizedKeys.keys != [ ]) config.users.users);
  };
}
