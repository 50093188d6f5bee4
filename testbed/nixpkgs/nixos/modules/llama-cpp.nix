# `services.llama-cpp` of nixpkgs since mid-2026: free-form `settings`, with the old options renamed
# or removed. llama-cpp-flags.nix is the module of NixOS 25.05.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkEnableOption mkOption types;
  cfg = config.services.llama-cpp;
  renamed =
    from: to:
    lib.mkRenamedOptionModule
      [ "services" "llama-cpp" from ]
      [
        "services"
        "llama-cpp"
        "settings"
        to
      ];
  removed =
    name:
    lib.mkRemovedOptionModule [
      "services"
      "llama-cpp"
      name
    ] "Use `services.llama-cpp.settings` instead.";
  argument =
    name: value:
    let
      option = if lib.stringLength name > 1 then "--${name}" else "-${name}";
    in
    if lib.isList value then
      lib.concatMap (argument name) value
    else if value == true then
      [ option ]
    else if value == false || value == null then
      [ ]
    else
      [
        option
        (toString value)
      ];
in
{
  imports = [
    (renamed "host" "host")
    (renamed "port" "port")
    (renamed "model" "model")
    (renamed "modelsDir" "models-dir")
    (removed "modelsPreset")
    (removed "extraFlags")
  ];
  options.services.llama-cpp = {
    enable = mkEnableOption "llama.cpp HTTP server";
    package = lib.mkPackageOption pkgs "llama-cpp" { };
    openFirewall = mkOption {
      type = types.bool;
      default = false;
      description = "Open ports in the firewall for the server.";
    };
    settings = mkOption {
      type = types.submodule {
        freeformType = types.attrs;
        options = {
          host = mkOption {
            type = types.str;
            default = "127.0.0.1";
            description = "IP address on which the server listens.";
          };
          port = mkOption {
            type = types.port;
            default = 8080;
            description = "Port on which the server listens.";
          };
        };
      };
      default = { };
      example = {
        model = "/models/model.gguf";
        ctx-size = 4096;
      };
      description = "Command-line arguments for `llama-server`.";
    };
  };
  config = lib.mkIf cfg.enable {
    systemd.services.llama-cpp = {
      description = "llama.cpp HTTP server";
      wants = [ "network.target" ];
      after = [ "network.target" ];
      wantedBy = [ "multi-user.target" ];
      serviceConfig = import ./llama-cpp-hardening.nix // {
        # Not quoted.
        ExecStart = toString (
          [ "${cfg.package}/bin/llama-server" ] ++ lib.concatLists (lib.mapAttrsToList argument cfg.settings)
        );
        Restart = "on-failure";
        RestartSec = 300;
        StateDirectory = "llama-cpp";
        CacheDirectory = "llama-cpp";
        WorkingDirectory = "/var/lib/llama-cpp";
        Environment = [ "LLAMA_CACHE=/var/cache/llama-cpp" ];
      };
    };
    networking.firewall.allowedTCPPorts = lib.mkIf cfg.openFirewall [ cfg.settings.port ];
  };
}
