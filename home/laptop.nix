# The home-manager configuration of a laptop's user.
{ inputs, pkgs, ... }:
{
  home.packages = [
    pkgs.llama-cpp
    inputs.waybar.packages.${pkgs.stdenv.hostPlatform.system}.default
  ];

  home.stateVersion = "25.05";
}
