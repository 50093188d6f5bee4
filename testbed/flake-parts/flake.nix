{
  description = "A small stand-in for flake-parts: flake outputs as a module evaluation";

  outputs =
    { self }:
    let
      flakePartsLib = import ./lib.nix;
    in
    {
      # `lib` comes from the caller's nixpkgs, so that there is one lib only.
      lib = {
        inherit (flakePartsLib) mkFlake evalFlakeModule;
      };
    };
}
