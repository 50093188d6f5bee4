# A fleet of real NixOS hosts, to measure on; dev/perf/real_fleet.rs fills in `inputs`.
{
  inputs.nixpkgs = {
    url = "@nixpkgs@";
    flake = false;
  };

  outputs =
    { self, nixpkgs }:
    let
      # The llama.cpp that the measured repository is locked to.
      lock = builtins.fromJSON (builtins.readFile ./llamafleet.lock);
      llama-cpp = builtins.fetchTree lock.nodes.llama-cpp.locked;
      ours = import ./modules/nixos {
        lib = import (nixpkgs + "/lib");
        self.overlays = import ./overlays { inherit llama-cpp; };
      };

      # Before 22.11, modules have no class and mkDerivation has no fixed point.
      release = builtins.replaceStrings [ "\n" ] [ "" ] (builtins.readFile (nixpkgs + "/.version"));
      isOld = builtins.compareVersions release "22.11" < 0;

      host =
        name:
        { system, role, ... }:
        import (nixpkgs + "/nixos/lib/eval-config.nix") {
          inherit system;
          modules = [
            ./hosts/${name}
            ./roles/${role}.nix
            ./roles/common.nix
            (if isOld then ./stand-in.nix else ours.llama-cpp)
            { networking.hostName = name; }
          ];
        };
    in
    {
      fleet = import ./hosts;
      nixosConfigurations = builtins.mapAttrs host self.fleet;
    };
}
