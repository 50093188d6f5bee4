# A web server.
{ config, ... }:
{
  services.nginx = {
    enable = true;
    recommendedProxySettings = true;
    recommendedTlsSettings = true;
    virtualHosts."${config.networking.hostName}.example.org".locations."/".proxyPass =
      "http://127.0.0.1:8080";
  };
  networking.firewall.allowedTCPPorts = [
    80
    443
  ];
}
