# The standard environment: `mkDerivation` with the machine's tools.
{
  lib,
  pkgs,
  config,
  hostPlatform,
}:
let
  make =
    {
      hasCC ? true,
    }:
    let
      stdenv = {
        # In Nixpkgs a derivation; here only a name to interpolate.
        name = "stdenv-linux";
        inherit hostPlatform hasCC;
        buildPlatform = hostPlatform;
        targetPlatform = hostPlatform;
        inherit (hostPlatform)
          system
          isLinux
          isDarwin
          isx86_64
          isAarch64
          is64bit
          ;
        shell = "/bin/bash";
        cc = if hasCC then pkgs.gcc else throw "stdenvNoCC has no compiler";
        override = args: make ({ inherit hasCC; } // args);
        mkDerivation = import ./make-derivation.nix {
          inherit
            lib
            pkgs
            config
            stdenv
            ;
        };
        inherit (hostPlatform) extensions;
      };
    in
    stdenv;
in
make { }
