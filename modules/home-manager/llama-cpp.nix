# llama.cpp from its official flake for one user, with standalone home-manager or on a NixOS host
# without the NixOS module.
{ self }:
{
  config,
  lib,
  options,
  pkgs,
  ...
}@args:
let
  cfg = config.programs.llama-cpp;
  variant = import ../shared/variant.nix { inherit lib; } cfg;

  # With `useGlobalPkgs`, the packages are the host's, which may lack the overlay, and home-manager
  # cannot add overlays.
  hostPkgs = args.osConfig.home-manager.useGlobalPkgs or false;
  ourPkgs = if pkgs ? mkLlamaCpp then pkgs else (pkgs.extend overlay).extend variant.builds;

  # The NixOS module of the host, if there is one.
  host = args.osConfig.programs.llama-cpp or { };

  # Users of a pinned host have the host's earlier llama.cpp too.
  overlay = import ../shared/overlay.nix { inherit self; } {
    source = if cfg.source != null then cfg.source else host.source or null;
    fleet = host.fleet or null;
    host = args.osConfig.networking.hostName or "";
  };
in
{
  imports = [ ../shared/options.nix ];

  config = lib.mkMerge [
    {
      programs.llama-cpp = {
        builds = host.builds or { };
        releases = host.releases or { };
      };
    }
    (lib.mkIf (!hostPkgs && cfg.overlay) {
      nixpkgs.overlays = [
        overlay
        variant.builds
      ]
      ++ lib.optional cfg.enable variant.select;
    })
    (lib.mkIf cfg.enable {
      assertions = variant.assertions options ourPkgs;
      programs.llama-cpp.package = variant.package ourPkgs;
      home.packages = [ cfg.package ];
    })
  ];
}
