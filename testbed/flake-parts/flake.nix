{
  description = "A stand-in for flake-parts: flake outputs as a module evaluation";

  outputs =
    { self, ... }:
    let
      flakeModules = import ./flake-modules.nix;
    in
    {
      # nixpkgs' library is the one of the caller's nixpkgs.
      lib = import ./lib.nix { inherit flakeModules; };
      inherit flakeModules;
    };
}
