{
  description = "A small stand-in for nixos-hardware";

  outputs =
    { self, ... }:
    {
      nixosModules = import ./profiles.nix;
    };
}
