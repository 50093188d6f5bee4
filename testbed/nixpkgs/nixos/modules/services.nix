# The few services that a fleet like this one configures.
{ config, lib, ... }:
let
  inherit (lib) mkEnableOption mkOption types;
  sshd = config.services.openssh;
in
{
  options.services = {
    openssh = {
      enable = mkEnableOption "the OpenSSH secure shell daemon";
      ports = mkOption {
        type = types.listOf types.port;
        default = [ 22 ];
        description = "Ports the daemon listens on.";
      };
      openFirewall = mkEnableOption "opening of the firewall" // {
        default = true;
      };
      settings = mkOption {
        type = types.submodule {
          freeformType = types.attrsOf (
            types.nullOr (
              types.oneOf [
                types.bool
                types.int
                types.str
                (types.listOf types.str)
              ]
            )
          );
          options.PasswordAuthentication = mkOption {
            type = types.nullOr types.bool;
            default = true;
            description = "Whether password authentication is allowed.";
          };
          options.PermitRootLogin = mkOption {
            type = types.nullOr (
              types.enum [
                "yes"
                "without-password"
                "prohibit-password"
                "forced-commands-only"
                "no"
              ]
            );
            default = "prohibit-password";
            description = "Whether the root user can log in using ssh.";
          };
        };
        default = { };
        description = "Configuration of sshd.";
      };
    };
    xserver = {
      enable = mkEnableOption "the X server";
      videoDrivers = mkOption {
        type = types.listOf types.str;
        default = [
          "modesetting"
          "fbdev"
        ];
        description = "The names of the video drivers the configuration supports.";
      };
      xkb.layout = mkOption {
        type = types.str;
        default = "us";
        description = "X keyboard layout.";
      };
    };
    fwupd.enable = mkEnableOption "fwupd, a DBus service that updates firmware";
    fstrim.enable = mkEnableOption "periodic SSD TRIM" // {
      default = true;
    };
    tlp.enable = mkEnableOption "the TLP power management daemon";
    thermald.enable = mkEnableOption "thermald, the temperature management daemon";
    power-profiles-daemon.enable = mkEnableOption "power-profiles-daemon";
    printing.enable = mkEnableOption "printing support through the CUPS daemon";
    pipewire.enable = mkEnableOption "PipeWire";
    tailscale.enable = mkEnableOption "the Tailscale client daemon";
  };
  config = lib.mkIf sshd.enable {
    networking.firewall.allowedTCPPorts = lib.mkIf sshd.openFirewall sshd.ports;
    # The testbed has no sshd to run.
    systemd.services.sshd = {
      description = "SSH Daemon";
      serviceConfig.ExecStart = "/usr/sbin/sshd -D ${
        lib.concatMapStringsSep " " (port: "-p ${toString port}") sshd.ports
      }";
      wantedBy = [ "multi-user.target" ];
    };
  };
}
