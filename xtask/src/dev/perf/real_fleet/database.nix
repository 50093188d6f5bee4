# A database server, with its backups.
{ pkgs, ... }:
{
  services.postgresql.enable = true;
  services.postgresqlBackup.enable = true;
  networking.firewall.allowedTCPPorts = [ 5432 ];
  environment.systemPackages = [ pkgs.restic ];
}
