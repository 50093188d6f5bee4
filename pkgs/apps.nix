# `nix run FLAKE#xtask -- check`, in a fleet's folder: needs neither a checkout of this
# repository nor cargo.
{ self }:
pkgs:
let
  inherit (self.packages.${pkgs.stdenv.hostPlatform.system}) xtask;
in
{
  xtask = {
    type = "app";
    program = pkgs.lib.getExe xtask;
    meta = { inherit (xtask.meta) description; };
  };
}
