{
  description = "A small stand-in for home-manager";

  # Followed by the fleet's flake, as with the real one; never fetched.
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs }:
    {
      nixosModules = rec {
        home-manager = ./nixos.nix;
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
