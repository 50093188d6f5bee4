# Programs with only `enable` and `package`.
{ lib, pkgs, ... }:
{
  options.programs =
    lib.genAttrs
      [
        "bash"
        "firefox"
        "fish"
        "git"
        "home-manager"
        "htop"
        "tmux"
        "vim"
        "waybar"
        "zsh"
      ]
      (name: {
        enable = lib.mkEnableOption name;
        package = lib.mkOption {
          type = lib.types.nullOr lib.types.package;
          default = pkgs.${name} or null;
          description = "The ${name} package.";
        };
      });
}
