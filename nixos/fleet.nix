# One NixOS system for each row of hosts/default.nix.
{ self, inputs }:
let
  host =
    name:
    {
      system,
      hardware ? null,
      ...
    }:
    inputs.nixpkgs.lib.nixosSystem {
      specialArgs = {
        inherit inputs;
        outputs = self;
      };
      modules = [
        ../hosts/${name}
        ./default.nix
        self.nixosModules.llama-cpp
        inputs.home-manager.nixosModules.home-manager
        {
          networking.hostName = name;
          programs.llama-cpp.fleet = self;
          nixpkgs.hostPlatform = system;
          nixpkgs.overlays = [ self.overlays.stable ];

          home-manager = {
            # So that the user's `pkgs.llama-cpp` is the host's.
            useGlobalPkgs = true;
            useUserPackages = true;
            extraSpecialArgs = {
              inherit inputs;
              outputs = self;
            };
          };
        }
      ]
      ++ (if hardware == null then [ ] else [ inputs.nixos-hardware.nixosModules.${hardware} ]);
    };
in
builtins.mapAttrs host self.fleet
