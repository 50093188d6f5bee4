# `lib.nixosSystem`: the modules of this folder and the caller's, evaluated.
{
  lib,
  system ? null,
  modules,
  specialArgs ? { },
  pkgs ? null,
  prefix ? [ ],
  modulesLocation ? null,
  extraModules ? [ ],
  baseModules ? import ./module-list.nix,
}:
let
  locate =
    if modulesLocation == null then lib.id else map (lib.setDefaultModuleLocation modulesLocation);
  eval = lib.evalModules {
    inherit prefix;
    class = "nixos";
    specialArgs = {
      modulesPath = toString ./modules;
    }
    // specialArgs;
    modules =
      baseModules
      ++ extraModules
      ++ [
        # A host without the module is not evaluated further, and NixOS has more options than the
        # testbed.
        (
          { options, ... }:
          {
            _module.check = lib.mkDefault (options ? programs.llama-cpp);
          }
        )
        {
          _file = ./eval-config.nix;
          # Not `mkIf`: with read-only-pkgs.nix these options do not exist.
          config = {
            _module.args = {
              inherit baseModules extraModules modules;
            };
            nixpkgs =
              lib.optionalAttrs (system != null) { system = lib.mkDefault system; }
              // lib.optionalAttrs (pkgs != null) { pkgs = lib.mkForce pkgs; };
          };
        }
      ]
      ++ locate modules;
  };
  withPkgs =
    configuration:
    configuration
    // {
      inherit (configuration._module.args) pkgs;
      inherit lib;
      extendModules = args: withPkgs (configuration.extendModules args);
    };
in
withPkgs eval
