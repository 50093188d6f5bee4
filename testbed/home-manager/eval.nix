# `homeManagerConfiguration`: a user's configuration outside NixOS.
{
  pkgs,
  modules,
  extraSpecialArgs,
  lib,
}:
let
  eval = lib.evalModules {
    class = "homeManager";
    specialArgs = {
      modulesPath = toString ./modules;
      osConfig = null;
      nixosConfig = null;
      darwinConfig = null;
    }
    // extraSpecialArgs;
    modules =
      import ./module-list.nix
      ++ [
        ./modules/nixpkgs.nix
        { _module.args.basePkgs = pkgs; }
      ]
      ++ modules;
  };
  failed = map (x: x.message) (lib.filter (x: !x.assertion) eval.config.assertions);
  checked =
    value:
    if failed != [ ] then
      throw "\nFailed assertions:\n${lib.concatMapStringsSep "\n" (x: "- ${x}") failed}"
    else
      lib.foldr lib.warn value eval.config.warnings;
in
eval
// {
  activationPackage = checked eval.config.home.activationPackage;
  activation-script = checked eval.config.home.activationPackage;
  inherit (eval._module.args) pkgs;
  newsDisplay = "silent";
  newsEntries = [ ];
}
