# `services.llama-swap`, which starts one of several servers for each request.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkEnableOption mkOption types;
  cfg = config.services.llama-swap;
  format = pkgs.formats.yaml { };
in
{
  options.services.llama-swap = {
    enable = mkEnableOption "enable the llama-swap service";
    package = lib.mkPackageOption pkgs "llama-swap" { };
    port = mkOption {
      type = types.port;
      default = 8080;
      description = "Port that llama-swap listens on.";
    };
    openFirewall = mkOption {
      type = types.bool;
      default = false;
      description = "Whether to open the firewall for llama-swap.";
    };
    settings = mkOption {
      type = types.submodule { freeformType = format.type; };
      default = { };
      description = "llama-swap configuration.";
    };
  };
  config = lib.mkIf cfg.enable {
    systemd.services.llama-swap = {
      description = "Model swapping for LLaMA C++ Server";
      after = [ "network.target" ];
      wantedBy = [ "multi-user.target" ];
      serviceConfig = import ./llama-cpp-hardening.nix // {
        Type = "exec";
        ExecStart = "${lib.getExe cfg.package} --listen :${toString cfg.port} --config ${format.generate "config.yaml" cfg.settings}";
        Restart = "on-failure";
        RestartSec = 3;
      };
    };
    networking.firewall.allowedTCPPorts = lib.mkIf cfg.openFirewall [ cfg.port ];
  };
}
