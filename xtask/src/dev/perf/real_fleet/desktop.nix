# A workstation.
{ pkgs, ... }:
{
  services.xserver.enable = true;
  services.xserver.desktopManager.xfce.enable = true;
  networking.networkmanager.enable = true;
  users.users.admin.extraGroups = [ "networkmanager" ];
  environment.systemPackages = [ pkgs.vim ];
}
