{
  description = "A small stand-in for home-manager";

  # The fleet's flake makes this follow its own nixpkgs, so it is never fetched.
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs, ... }:
    {
      nixosModules = rec {
        home-manager = ./nixos.nix;
        default = home-manager;
      };
      flakeModules = rec {
        home-manager = ./flake-module.nix;
        default = home-manager;
      };
      lib = {
        hm = { };
        homeManagerConfiguration =
          {
            pkgs,
            modules ? [ ],
            extraSpecialArgs ? { },
            lib ? pkgs.lib,
            check ? true,
          }:
          import ./eval.nix {
            inherit
              pkgs
              modules
              extraSpecialArgs
              lib
              ;
          };
      };
    };
}
