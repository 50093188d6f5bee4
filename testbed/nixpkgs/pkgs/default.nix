# The package set: a fixed point of the files below and the caller's overlays.
{
  lib,
  localSystem,
  config,
  overlays,
}:
let
  hostPlatform = lib.systems.elaborate localSystem;

  withDefaults = import ./config.nix { inherit lib; };

  files = [
    ./build-support.nix
    ./tools.nix
    ./libraries.nix
    ./gpu.nix
    ./languages.nix
    ./llama.nix
    ./unavailable.nix
  ];

  base =
    pkgs:
    let
      callPackage = pkgs.newScope { };
    in
    {
      _type = "pkgs";
      inherit lib overlays callPackage;
      inherit pkgs;
      path = ../.;
      config = withDefaults config pkgs;
      newScope = extra: lib.callPackageWith (pkgs // extra);
      inherit (pkgs.stdenv) hostPlatform buildPlatform targetPlatform;
      inherit (pkgs.stdenv.hostPlatform) system;

      stdenv = import ./stdenv {
        inherit lib hostPlatform pkgs;
        inherit (pkgs) config;
      };
      stdenvNoCC = pkgs.stdenv.override { hasCC = false; };
      gccStdenv = pkgs.stdenv;

      extend = overlay: pkgs.appendOverlays [ overlay ];
      appendOverlays =
        extra:
        if extra == [ ] then
          pkgs
        else
          import ./. {
            inherit lib localSystem config;
            overlays = overlays ++ extra;
          };

      inherit (lib) recurseIntoAttrs dontRecurseIntoAttrs;
    }
    // lib.foldl' (all: file: all // import file { inherit lib pkgs; }) { } files;
in
lib.fix (lib.foldl' (lib.flip lib.extends) base overlays)
