# `nix develop`: what `cargo xtask test` needs, and the formatter and linter of the Nix files.
{ pkgs }:
let
  # Until 25.11, `nixfmt` is the formatter of the old style.
  nixfmt =
    if pkgs.lib.versionAtLeast pkgs.lib.version "25.11pre" then pkgs.nixfmt else pkgs.nixfmt-rfc-style;
in
pkgs.mkShell {
  packages = [
    pkgs.cargo
    pkgs.clippy
    pkgs.rustc
    pkgs.rustfmt

    nixfmt
    pkgs.deadnix

    # The testbed builds llama.cpp.
    pkgs.ccache
    pkgs.cmake
    pkgs.ninja
    pkgs.pkg-config

    # The tests run these: Git, a real sshd, pgrep and script.
    pkgs.git
    pkgs.openssh
    pkgs.procps
    pkgs.util-linux
  ];

  # Off in Cargo.toml, for those who compile xtask once.
  CARGO_INCREMENTAL = "1";
}
