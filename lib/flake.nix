# The outputs of this repository for other flakes, without its fleet. The only inputs are nixpkgs
# and llama.cpp, which can follow the other flake's inputs.
#
#   llamafleet.url = "github:OWNER/llamafleet?dir=lib";
{
  description = "llama.cpp built for each machine's CPU and GPU: overlay, modules, packages and xtask";

  inputs = {
    nixpkgs.url = "github:nixos/nixpkgs/nixos-unstable";
    llama-cpp = {
      url = "github:ggml-org/llama.cpp";
      inputs.nixpkgs.follows = "nixpkgs";
    };
  };

  outputs =
    { self, nixpkgs, ... }@inputs:
    let
      pkgsFor = import ../pkgs/nixpkgs.nix { inherit self nixpkgs; };
      forAllSystems = perSystem: builtins.mapAttrs (_system: perSystem) pkgsFor;
    in
    {
      overlays = import ../overlays { inherit (inputs) llama-cpp; };
      nixosModules = import ../modules/nixos { inherit self; };
      homeModules = import ../modules/home-manager { inherit self; };

      packages = forAllSystems (import ../pkgs);
      legacyPackages = forAllSystems (import ../pkgs/legacy.nix { inherit self; });
      apps = forAllSystems (import ../pkgs/apps.nix { inherit self; });

      templates = import ../templates;
    };
}
