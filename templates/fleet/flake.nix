{
  description = "A NixOS fleet whose llama.cpp is built for each machine's own silicon";

  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

    # What `xtask update` moves.
    llama-cpp = {
      url = "github:ggml-org/llama.cpp";
      inputs.nixpkgs.follows = "nixpkgs";
    };

    # The module, the overlay and xtask. Replace OWNER.
    llamafleet = {
      url = "github:OWNER/llamafleet";
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
              nixpkgs.hostPlatform = system;
              # `xtask update` writes it, since a lock file does not tell build numbers.
              programs.llama-cpp.builds =
                (builtins.fromJSON (builtins.readFile ./overlays/llama-cpp/pin.json)).builds;
            }
          ];
        };
    in
    {
      # The table alone: reading it evaluates no nixpkgs.
      fleet = import ./hosts;
      nixosConfigurations = builtins.mapAttrs host self.fleet;

      # `nix run .#xtask -- check`
      inherit (llamafleet) apps;
    };
}
