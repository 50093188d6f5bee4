{
  description = "A small stand-in for Nixpkgs: real module system, the machine's own compiler";

  outputs =
    { self, ... }:
    let
      lib = import ./lib;
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
    in
    {
      lib = lib.extend (
        final: _: {
          nixosSystem =
            args:
            import ./nixos/eval-config.nix (
              {
                lib = final;
                # By default the host sets `nixpkgs.hostPlatform`.
                system = null;
              }
              // args
            );
          nixos.evalModules =
            args:
            import ./nixos/eval-config.nix (
              {
                lib = final;
                system = null;
              }
              // args
            );
        }
      );
      legacyPackages = lib.genAttrs systems (system: import ./. { inherit system; });
      nixosModules.readOnlyPkgs = ./nixos/modules/read-only-pkgs.nix;
    };
}
