# What every machine of a fleet has, in options that NixOS has had for long.
{ config, pkgs, ... }:
{
  boot.loader.systemd-boot.enable = true;
  fileSystems."/" = {
    device = "/dev/disk/by-label/nixos";
    fsType = "ext4";
  };
  time.timeZone = "Europe/Berlin";
  i18n.defaultLocale = "en_GB.UTF-8";
  users.users.admin = {
    isNormalUser = true;
    extraGroups = [ "wheel" ];
    openssh.authorizedKeys.keys = [ "ssh-ed25519 AAAA ${config.networking.hostName}" ];
  };
  services.openssh.enable = true;
  services.prometheus.exporters.node.enable = true;
  networking.firewall.allowedTCPPorts = [
    22
    9100
  ];
  environment.systemPackages = [
    pkgs.git
    pkgs.htop
    pkgs.tmux
  ];
}
