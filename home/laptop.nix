# What the user of a laptop has.
{ pkgs, ... }:
{
  home.packages = [
    pkgs.llama-cpp
  ];

  home.stateVersion = "25.05";
}
