# `services.llama-cpp` as in NixOS 25.05: `model`, `extraFlags`. Not in module-list.nix; to
# use it:
#
#   disabledModules = [ "llama-cpp.nix" ];
#   imports = [ "${modulesPath}/llama-cpp-flags.nix" ];
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkEnableOption mkOption types;
  cfg = config.services.llama-cpp;
in
{
  options.services.llama-cpp = {
    enable = mkEnableOption "LLaMA C++ server";
    package = lib.mkPackageOption pkgs "llama-cpp" { };
    model = mkOption {
      type = types.path;
      example = "/models/mistral-instruct-7b/ggml-model-q4_0.gguf";
      description = "Model path.";
    };
    extraFlags = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [
        "-c"
        "4096"
        "-ngl"
        "32"
      ];
      description = "Extra flags passed to llama-cpp-server.";
    };
    host = mkOption {
      type = types.str;
      default = "127.0.0.1";
      description = "IP address the LLaMA C++ server listens on.";
    };
    port = mkOption {
      type = types.port;
      default = 8080;
      description = "Listen port for LLaMA C++ server.";
    };
    openFirewall = mkOption {
      type = types.bool;
      default = false;
      description = "Open ports in the firewall for LLaMA C++ server.";
    };
  };
  config = lib.mkIf cfg.enable {
    systemd.services.llama-cpp = {
      description = "LLaMA C++ server";
      after = [ "network.target" ];
      wantedBy = [ "multi-user.target" ];
      serviceConfig = import ./llama-cpp-hardening.nix // {
        Type = "idle";
        KillSignal = "SIGINT";
        ExecStart = "${cfg.package}/bin/llama-server --log-disable --host ${cfg.host} --port ${toString cfg.port} -m ${cfg.model} ${lib.escapeShellArgs cfg.extraFlags}";
        Restart = "on-failure";
        RestartSec = 300;
      };
    };
    networking.firewall.allowedTCPPorts = lib.mkIf cfg.openFirewall [ cfg.port ];
  };
}
