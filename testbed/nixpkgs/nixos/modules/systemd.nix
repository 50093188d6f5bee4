# Units, written to /etc, so that the system depends on the programs they run.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  scalar = types.nullOr (
    types.oneOf [
      types.bool
      types.int
      types.float
      types.str
      types.path
    ]
  );
  section =
    description:
    mkOption {
      type = types.attrsOf (types.either scalar (types.listOf scalar));
      default = { };
      inherit description;
    };
  list =
    description:
    mkOption {
      type = types.listOf types.str;
      default = [ ];
      inherit description;
    };
  service = {
    freeformType = types.attrsOf types.unspecified;
    options = {
      enable = mkOption {
        type = types.bool;
        default = true;
        description = "Whether the unit exists.";
      };
      description = mkOption {
        type = types.singleLineStr;
        default = "";
        description = "Description of this unit.";
      };
      serviceConfig = section "The [Service] section.";
      unitConfig = section "The [Unit] section.";
      environment = mkOption {
        type = types.attrsOf (
          types.nullOr (
            types.oneOf [
              types.str
              types.path
              types.package
            ]
          )
        );
        default = { };
        description = "Environment variables of the service.";
      };
      path = mkOption {
        type = types.listOf (
          types.oneOf [
            types.package
            types.str
          ]
        );
        default = [ ];
        description = "Packages on the service's PATH.";
      };
      script = mkOption {
        type = types.lines;
        default = "";
        description = "Shell commands of the main process.";
      };
      wantedBy = list "Units that start this one.";
      requiredBy = list "Units that cannot start without this one.";
      wants = list "Units that this one starts.";
      requires = list "Units without which this one cannot start.";
      after = list "Units to start before this one.";
      before = list "Units to start after this one.";
    };
  };
  show = value: if builtins.isBool value then lib.boolToString value else toString value;
in
{
  options.systemd = {
    services = mkOption {
      type = types.attrsOf (types.submodule service);
      default = { };
      description = "Definition of systemd service units.";
    };
    timers = mkOption {
      type = types.attrsOf (types.submodule service);
      default = { };
      description = "Definition of systemd timer units.";
    };
    user.services = mkOption {
      type = types.attrsOf (types.submodule service);
      default = { };
      description = "Definition of systemd per-user service units.";
    };
    tmpfiles.rules = list "Rules for creation, deletion and cleaning of files.";
    packages = mkOption {
      type = types.listOf types.package;
      default = [ ];
      description = "Packages providing systemd units.";
    };
  };
  config.environment.etc = lib.mapAttrs' (
    name: unit:
    lib.nameValuePair "systemd/system/${name}.service" {
      text =
        "[Service]\n"
        + lib.concatStrings (
          lib.mapAttrsToList (
            key: value: lib.concatMapStrings (v: "${key}=${show v}\n") (lib.toList value)
          ) unit.serviceConfig
        )
        + lib.concatStrings (
          lib.mapAttrsToList (key: value: "Environment=${key}=${show value}\n") unit.environment
        );
    }
  ) (lib.filterAttrs (_: unit: unit.enable) config.systemd.services);
}
