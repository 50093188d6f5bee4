# Programs with only an `enable` option.
{ lib, ... }:
{
  options.programs =
    lib.genAttrs
      [
        "bash"
        "fish"
        "git"
        "hyprland"
        "mosh"
        "nix-ld"
        "steam"
        "sway"
        "tmux"
        "vim"
        "waybar"
        "zsh"
      ]
      (name: {
        enable = lib.mkEnableOption name;
      });
}
