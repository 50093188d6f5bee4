# Host name, addresses, firewall.
{ lib, ... }:
let
  inherit (lib) mkEnableOption mkOption types;
  ports =
    protocol:
    mkOption {
      type = types.listOf types.port;
      default = [ ];
      description = "Open ${protocol} ports.";
    };
in
{
  options.networking = {
    hostName = mkOption {
      type = types.strMatching "^$|^[[:alnum:]]([[:alnum:]_-]{0,61}[[:alnum:]])?$";
      default = "nixos";
      description = "The name of the machine.";
    };
    domain = mkOption {
      type = types.nullOr types.str;
      default = null;
      description = "The domain of the machine.";
    };
    hostId = mkOption {
      type = types.nullOr types.str;
      default = null;
      description = "The 32-bit host ID of the machine.";
    };
    useDHCP = mkEnableOption "DHCP on all interfaces" // {
      default = true;
    };
    interfaces = mkOption {
      type = types.attrsOf (
        types.submodule {
          options.ipv4.addresses = mkOption {
            type = types.listOf types.attrs;
            default = [ ];
            description = "IPv4 addresses of the interface.";
          };
        }
      );
      default = { };
      description = "The configuration of each network interface.";
    };
    defaultGateway = mkOption {
      type = types.nullOr types.str;
      default = null;
      description = "The default gateway.";
    };
    networkmanager.enable = mkEnableOption "NetworkManager";
    firewall = {
      enable = mkEnableOption "the firewall" // {
        default = true;
      };
      allowedTCPPorts = ports "TCP";
      allowedUDPPorts = ports "UDP";
    };
    hosts = mkOption {
      type = types.attrsOf (types.listOf types.str);
      default = { };
      description = "Locally defined names of addresses.";
    };
    nameservers = mkOption {
      type = types.listOf types.str;
      default = [ ];
      description = "The name servers.";
    };
  };
}
