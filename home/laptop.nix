# What the user of a laptop has.
{ inputs, pkgs, ... }:
{
  home.packages = [
    pkgs.llama-cpp
    inputs.waybar.packages.${pkgs.stdenv.hostPlatform.system}.default
  ];

  home.stateVersion = "25.05";
}
