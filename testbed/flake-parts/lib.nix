# `mkFlake`: evaluates a flake's modules and returns their `flake` option.
rec {
  evalFlakeModule =
    {
      inputs,
      self ? inputs.self,
      specialArgs ? { },
      moduleLocation ? "${self.outPath}/flake.nix",
    }:
    module:
    let
      inherit (inputs.nixpkgs) lib;
      flake-parts-lib = import ./options.nix { inherit lib; };
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

  mkFlake = args: module: (evalFlakeModule args module).config.flake;
}
