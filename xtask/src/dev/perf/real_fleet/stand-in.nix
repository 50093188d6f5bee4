# In the place of this project's module where nixpkgs is too old for it: the same options
# and the same answers for xtask. The package is one that this nixpkgs does have, with
# llama.cpp's flags: as large to evaluate, and nothing that could be built.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.programs.llama-cpp;
  variant = "llama-cpp-cpu-${cfg.microarch}";
  inherit (pkgs.stdenv.hostPlatform) system;
  microarchs = import ./overlays/llama-cpp/microarch.nix { inherit lib; };
  options = microarchs.cmakeOptionsFor {
    inherit system;
    name = cfg.microarch;
  };
  flags = lib.mapAttrsToList (name: on: "-D${name}=${if on then "ON" else "OFF"}") options;
  manifest = {
    inherit variant system;
    inherit (cfg) microarch;
    backends = [ "cpu" ];
    cmakeFlags = flags;
    rev = null;
    build = null;
  };
in
{
  imports = [ ./modules/shared/options.nix ];

  options.programs.llama-cpp.manifest = lib.mkOption {
    type = lib.types.unspecified;
    readOnly = true;
  };

  config = {
    nixpkgs.overlays = [
      (_final: prev: {
        llama-cpp = prev.ffmpeg.overrideAttrs (old: {
          name = variant;
          configureFlags = old.configureFlags ++ flags;
          passthru = (old.passthru or { }) // {
            llamaCpp = manifest;
          };
        });
      })
    ];
    programs.llama-cpp = {
      package = pkgs.llama-cpp;
      manifest = manifest // {
        host = config.networking.hostName;
      };
    };
    environment.systemPackages = [ cfg.package ];
  };
}
