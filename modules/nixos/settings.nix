# Backports `services.llama-cpp.settings`, which nixpkgs has since mid-2026, so that a host's file
# works with both. The earlier `model` and `extraFlags` are not used.
_:
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  cfg = config.services.llama-cpp;

  # `--name value`; only the flag for `true`, nothing for `false` and null.
  argument =
    name: value:
    let
      flag = if lib.stringLength name > 1 then "--${name}" else "-${name}";
    in
    if lib.isList value then
      lib.concatMap (argument name) value
    else if value == true then
      [ flag ]
    else if value == false || value == null then
      [ ]
    else
      [
        flag
        (toString value)
      ];
  command = [
    "${cfg.package}/bin/llama-server"
  ]
  ++ lib.concatLists (lib.mapAttrsToList argument cfg.settings);
in
{
  options.services.llama-cpp.settings = mkOption {
    type = types.submodule {
      freeformType = types.attrsOf types.anything;
      options = {
        host = mkOption {
          type = types.str;
          default = "127.0.0.1";
          description = "Address to listen on.";
        };
        port = mkOption {
          type = types.port;
          default = 8080;
          description = "Port to listen on.";
        };
      };
    };
    default = { };
    example = {
      models-dir = "/srv/models";
      ctx-size = 8192;
    };
    description = "Arguments of llama-server, without the dashes.";
  };

  config = lib.mkIf cfg.enable {
    services.llama-cpp = {
      # Used by `openFirewall`.
      inherit (cfg.settings) host port;
      # Required there.
      model = lib.mkDefault "/var/empty";
    };
    systemd.services.llama-cpp = {
      # systemd expands `%` even inside quotes.
      serviceConfig = {
        ExecStart = lib.mkForce (lib.replaceStrings [ "%" ] [ "%%" ] (lib.escapeShellArgs command));
        StateDirectory = "llama-cpp";
        CacheDirectory = "llama-cpp";
        WorkingDirectory = "/var/lib/llama-cpp";
      };
      environment.LLAMA_CACHE = "/var/cache/llama-cpp";
    };
  };
}
