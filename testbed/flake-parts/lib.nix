# flake-parts' `lib`. The functions that need nixpkgs' library are in `options.nix`.
{ flakeModules }:
let
  libOf =
    inputs:
    (inputs.nixpkgs or inputs.nixpkgs-lib
      or (throw "flake-parts in the testbed takes nixpkgs' library from the flake's input nixpkgs")
    ).lib;
in
rec {
  evalFlakeModule =
    {
      inputs ? self.inputs,
      self ? inputs.self,
      specialArgs ? { },
      moduleLocation ? "${self.outPath}/flake.nix",
    }:
    module:
    let
      lib = libOf inputs;
      flake-parts-lib = import ./options.nix { inherit lib flakeModules; } // {
        inherit evalFlakeModule mkFlake defaultModule;
      };
    in
    lib.evalModules {
      class = "flake";
      specialArgs = {
        inherit
          self
          inputs
          flake-parts-lib
          moduleLocation
          ;
      }
      // specialArgs;
      modules = [
        ./module.nix
        (lib.setDefaultModuleLocation moduleLocation module)
      ];
    };

  mkFlake = args: module: (evalFlakeModule args module).config.processedFlake;

  # A flake's default module; anything else is a module itself.
  defaultModule =
    maybeFlake:
    if maybeFlake._type or null == "flake" then
      maybeFlake.flakeModules.default or maybeFlake
    else
      maybeFlake;
}
