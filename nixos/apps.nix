# `nix run FLAKE#xtask -- check`, in the fleet's folder: for whoever has no checkout of
# this repository, and no cargo.
pkgs:
let
  xtask = import ./xtask.nix pkgs;
in
{
  xtask = {
    type = "app";
    program = "${xtask}/bin/xtask";
    meta.description = "Check, build and bench the fleet's llama.cpp";
  };
}
