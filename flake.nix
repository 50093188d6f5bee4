{
  description = "A NixOS fleet with llama.cpp built for each machine's CPU and GPU";

  inputs = {
    nixpkgs.url = "github:nixos/nixpkgs/nixos-unstable";
    nixpkgs-stable.url = "github:nixos/nixpkgs/nixos-26.05";

    nixos-hardware = {
      url = "github:NixOS/nixos-hardware/master";
      inputs.nixpkgs.follows = "nixpkgs";
    };

    # Packages that I want the latest version of
    waybar = {
      url = "github:Alexays/Waybar/master";
      inputs.nixpkgs.follows = "nixpkgs";
    };
    # `follows`: built with this nixpkgs, and no second one in flake.lock.
    llama-cpp = {
      url = "github:ggml-org/llama.cpp";
      inputs.nixpkgs.follows = "nixpkgs";
    };

    home-manager = {
      url = "github:nix-community/home-manager";
      inputs.nixpkgs.follows = "nixpkgs";
    };
  };

  outputs =
    { self, nixpkgs, ... }@inputs:
    let
      pkgsFor = import ./pkgs/nixpkgs.nix { inherit self nixpkgs; };
      forAllSystems = perSystem: builtins.mapAttrs (_system: perSystem) pkgsFor;
    in
    {
      # Plain data: reading it does not evaluate nixpkgs.
      fleet = import ./hosts;
      nixosConfigurations = import ./nixos/fleet.nix { inherit self inputs; };

      overlays = import ./overlays { inherit (inputs) llama-cpp; } // {
        stable = import ./overlays/stable.nix { inherit (inputs) nixpkgs-stable; };
      };
      nixosModules = import ./modules/nixos { inherit self; };
      homeModules = import ./modules/home-manager { inherit self; };

      packages = forAllSystems (import ./pkgs);
      legacyPackages = forAllSystems (
        pkgs:
        import ./pkgs/legacy.nix { inherit self; } pkgs
        // {
          # For `cargo xtask test`, which evaluates all of them at once.
          llamafleetTests = (import ./tests { flake = self; }).all;
          # They need KVM.
          nixosTests.server = import ./tests/nixos/server.nix { inherit self; } pkgs;
        }
      );
      apps = forAllSystems (import ./pkgs/apps.nix { inherit self; });

      checks = forAllSystems (import ./tests/checks.nix { inherit self; });
      hydraJobs = import ./tests/hydra-jobs.nix { inherit self; };

      devShells = forAllSystems (pkgs: {
        default = import ./shell.nix { inherit pkgs; };
      });
      formatter = forAllSystems (pkgs: pkgs.nixfmt-tree);

      templates = import ./templates;
    };
}
