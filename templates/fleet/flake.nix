{
  description = "A NixOS fleet with llama.cpp built for each machine's CPU and GPU";

  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

    # `xtask update` updates this input.
    llama-cpp = {
      url = "github:ggml-org/llama.cpp";
      inputs.nixpkgs.follows = "nixpkgs";
    };

    # The module, the overlay and xtask. Replace OWNER.
    llamafleet = {
      url = "github:OWNER/llamafleet?dir=lib";
      inputs.nixpkgs.follows = "nixpkgs";
      inputs.llama-cpp.follows = "llama-cpp";
    };
  };

  outputs =
    {
      self,
      nixpkgs,
      llamafleet,
      ...
    }@inputs:
    let
      host =
        name:
        { system, ... }:
        nixpkgs.lib.nixosSystem {
          specialArgs = { inherit inputs; };
          modules = [
            llamafleet.nixosModules.default
            ./hosts/${name}
            {
              networking.hostName = name;
              # Files that `xtask update` writes: build numbers, which a lock file does not
              # contain, to pin.json, and pinned hosts to pinned_hosts.json.
              programs.llama-cpp.fleet = self;
              nixpkgs.hostPlatform = system;
            }
          ];
        };
    in
    {
      # Plain data: reading it does not evaluate nixpkgs.
      fleet = import ./hosts;
      nixosConfigurations = builtins.mapAttrs host self.fleet;

      # `nix run .#xtask -- check`
      inherit (llamafleet) apps;
    };
}
