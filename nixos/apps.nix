# `nix run .#xtask -- check`: cargo's xtask, for whoever has no cargo. It is
# compiled in the checkout that it is run in.
pkgs:
let
  inherit (pkgs) lib;
  tools = lib.makeBinPath [
    pkgs.cargo
    pkgs.rustc
    pkgs.stdenv.cc
  ];
in
{
  xtask = {
    type = "app";
    program = "${pkgs.writeShellScript "xtask" ''
      PATH=${tools}:$PATH exec cargo run --quiet --package xtask -- "$@"
    ''}";
    meta.description = "Check, build and bench the fleet's llama.cpp";
  };
}
