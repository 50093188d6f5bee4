# `system.build.toplevel`: one derivation for the whole system.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  failed = map (x: x.message) (lib.filter (x: !x.assertion) config.assertions);
  loaders = lib.filter (name: config.boot.loader.${name}.enable) [
    "generic-extlinux-compatible"
    "grub"
    "systemd-boot"
  ];
  toplevel =
    pkgs.runCommandLocal "nixos-system-${config.system.name}-${config.system.nixos.label}"
      {
        passthru = { inherit config; };
      }
      ''
        mkdir -p "$out"
        ln -s ${config.system.path} "$out/sw"
        ln -s ${config.system.build.etc} "$out/etc"
        echo ${
          lib.escapeShellArg config.nixpkgs.hostPlatform.system or pkgs.stdenv.hostPlatform.system
        } >"$out/system"
        echo ${lib.escapeShellArg (toString config.boot.kernelParams)} >"$out/kernel-params"
        echo ${toString loaders} >"$out/boot-loader"
        echo ${toString config.services.xserver.videoDrivers} >"$out/video-drivers"
      '';
in
{
  options = {
    system = {
      build = lib.mkOption {
        type = lib.types.submodule {
          freeformType = lib.types.lazyAttrsOf (lib.types.uniq lib.types.unspecified);
        };
        default = { };
        description = "Derivations used to set up the system.";
      };
      name = lib.mkOption {
        type = lib.types.str;
        default = if config.networking.hostName == "" then "unnamed" else config.networking.hostName;
        description = "The name of the system used in the system.build.toplevel derivation.";
      };
      stateVersion = lib.mkOption {
        type = lib.types.str;
        default = lib.trivial.release;
        description = "The release that the host was first installed with.";
      };
      nixos = {
        release = lib.mkOption {
          type = lib.types.str;
          readOnly = true;
          default = lib.trivial.release;
          description = "The NixOS release.";
        };
        version = lib.mkOption {
          type = lib.types.str;
          default = "${lib.trivial.release}-testbed";
          description = "The full NixOS version.";
        };
        label = lib.mkOption {
          type = lib.types.strMatching "[a-zA-Z0-9:_\\.-]*";
          # A constant, so that the derivation does not depend on which lib is used.
          default = "testbed";
          description = "Label to be used in the names of generated outputs and boot labels.";
        };
      };
      path = lib.mkOption {
        internal = true;
        description = "The packages in the boot environment.";
      };
      configurationRevision = lib.mkOption {
        type = lib.types.nullOr lib.types.str;
        default = null;
        description = "The Git revision of the configuration.";
      };
    };
    time.timeZone = lib.mkOption {
      type = lib.types.nullOr lib.types.str;
      default = null;
      description = "The time zone used when displaying times and dates.";
    };
    i18n.defaultLocale = lib.mkOption {
      type = lib.types.str;
      default = "en_US.UTF-8";
      description = "The default locale.";
    };
    i18n.extraLocaleSettings = lib.mkOption {
      type = lib.types.attrsOf lib.types.str;
      default = { };
      description = "Additional system-wide locale settings.";
    };
    console = {
      keyMap = lib.mkOption {
        type = lib.types.either lib.types.str lib.types.path;
        default = "us";
        description = "The keyboard mapping table for the virtual consoles.";
      };
      font = lib.mkOption {
        type = lib.types.nullOr (lib.types.either lib.types.str lib.types.path);
        default = null;
        description = "The font used for the virtual consoles.";
      };
      useXkbConfig = lib.mkEnableOption "the X server's keyboard layout on the console";
    };
    security = {
      sudo.enable = lib.mkEnableOption "sudo" // {
        default = true;
      };
      sudo.wheelNeedsPassword = lib.mkOption {
        type = lib.types.bool;
        default = true;
        description = "Whether users of the wheel group must give a password.";
      };
      rtkit.enable = lib.mkEnableOption "RealtimeKit";
      polkit.enable = lib.mkEnableOption "polkit";
    };
  };

  config = {
    system.path = pkgs.buildEnv {
      name = "system-path";
      paths = config.environment.systemPackages;
    };
    system.build.toplevel =
      if failed != [ ] then
        throw "\nFailed assertions:\n${lib.concatMapStringsSep "\n" (x: "- ${x}") failed}"
      else
        lib.foldr lib.warn toplevel config.warnings;
  };
}
