# A machine that builds for the others.
{ pkgs, ... }:
{
  virtualisation.docker.enable = true;
  nix.gc.automatic = true;
  boot.kernel.sysctl."vm.swappiness" = 10;
  users.users.admin.extraGroups = [ "docker" ];
  environment.systemPackages = [ pkgs.gnumake ];
}
