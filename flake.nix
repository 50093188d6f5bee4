{
  description = "A NixOS fleet whose llama.cpp is built for each machine's own silicon";

  inputs = {
    nixpkgs.url = "github:nixos/nixpkgs/nixos-unstable";
    nixpkgs-stable.url = "github:nixos/nixpkgs/nixos-25.05";

    nixos-hardware.url = "github:NixOS/nixos-hardware/master";

    # Packages I just want the latest of
    waybar = {
      url = "github:Alexays/Waybar/master";
      inputs.nixpkgs.follows = "nixpkgs";
    };
    # `follows`: built against our nixpkgs, and no second one in flake.lock.
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
      pkgsFor = import ./overlays/nixpkgs.nix { inherit self nixpkgs; };
      forAllSystems = perSystem: builtins.mapAttrs (_system: perSystem) pkgsFor;
    in
    {
      # The table alone: reading it evaluates no nixpkgs.
      fleet = import ./hosts;
      nixosConfigurations = import ./nixos/fleet.nix { inherit self inputs; };

      overlays = import ./overlays { inherit inputs; };
      nixosModules = import ./nixos/modules { inherit self; };
      homeModules = import ./home/modules { inherit self; };

      packages = forAllSystems (import ./overlays/packages.nix);
      legacyPackages = forAllSystems (import ./overlays/legacy-packages.nix { inherit self; });

      checks = forAllSystems (import ./tests/nix/checks.nix { inherit self; });
      hydraJobs = import ./tests/nix/hydra-jobs.nix { inherit self; };

      devShells = forAllSystems (import ./nixos/dev-shell.nix);
      templates = import ./templates;

      formatter = forAllSystems (pkgs: pkgs.nixfmt-tree);
      apps = forAllSystems (import ./nixos/apps.nix);
    };
}
