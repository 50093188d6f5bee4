{
  description = "A stand-in for Waybar's flake";

  # The fleet's flake makes this follow its own nixpkgs, so it is never fetched.
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs, ... }:
    let
      waybar =
        pkgs:
        pkgs.writeShellScriptBin "waybar" ''
          echo "the testbed's waybar draws nothing" >&2
        '';
    in
    {
      overlays.default = final: _: { waybar = waybar final; };
      packages =
        nixpkgs.lib.genAttrs
          [
            "x86_64-linux"
            "aarch64-linux"
          ]
          (system: {
            default = waybar nixpkgs.legacyPackages.${system};
          });
    };
}
