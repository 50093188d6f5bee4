# What working on xtask needs.
pkgs: {
  default = pkgs.mkShell {
    packages = [
      pkgs.cargo
      pkgs.clippy
      pkgs.rustc
      pkgs.rustfmt
    ];
  };
}
