{
  description = "A small stand-in for flake-parts: flake outputs as a module evaluation";

  outputs =
    { self, ... }:
    let
      flakePartsLib = import ./lib.nix;
    in
    {
      # `lib` is the one of the caller's nixpkgs.
      lib = {
        inherit (flakePartsLib) mkFlake evalFlakeModule;
      };
    };
}
