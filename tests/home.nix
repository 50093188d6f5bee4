# `programs.llama-cpp` in home-manager, with only the options of home-manager that it uses.
{ flake, lib, ... }:
let
  inherit (flake.inputs) nixpkgs;
  system = "x86_64-linux";

  homeWith =
    {
      # The configuration of the NixOS host; null for home-manager alone.
      osConfig ? null,
      # The given packages, or null if home-manager creates them.
      pkgs ? null,
      settings ? { },
    }:
    lib.evalModules {
      specialArgs = lib.optionalAttrs (osConfig != null) { inherit osConfig; };
      modules = [
        flake.homeModules.default
        (
          { config, ... }:
          {
            options = {
              home.packages = lib.mkOption { type = lib.types.listOf lib.types.package; };
              assertions = lib.mkOption { type = lib.types.listOf lib.types.raw; };
              nixpkgs.overlays = lib.mkOption {
                type = lib.types.nullOr (lib.types.listOf lib.types.raw);
                default = null;
              };
            };
            config._module.args.pkgs =
              if pkgs != null then
                pkgs
              else
                import nixpkgs {
                  inherit system;
                  overlays = if config.nixpkgs.overlays == null then [ ] else config.nixpkgs.overlays;
                };
          }
        )
        {
          programs.llama-cpp = {
            enable = true;
            backend = "vulkan";
            microarch = "znver4";
          }
          // settings;
        }
      ];
    };

  onHost =
    pkgs:
    homeWith {
      inherit pkgs;
      osConfig.home-manager.useGlobalPkgs = true;
    };
  variantOf = home: home.config.programs.llama-cpp.package.llamaCpp.variant;
in
{
  "importing it changes no package" = {
    expr = (homeWith { settings.enable = false; }).config.nixpkgs.overlays;
    expected = null;
  };
  "alone, it sets the overlay, and pkgs.llama-cpp is the variant" = {
    expr =
      let
        home = homeWith { };
      in
      home._module.args.pkgs.llama-cpp.drvPath == home.config.programs.llama-cpp.package.drvPath;
    expected = true;
  };
  "the package is installed" = {
    expr = map (package: package.llamaCpp.variant) (homeWith { }).config.home.packages;
    expected = [ "vulkan-znver4" ];
  };
  "with a host's packages it sets no overlay" = {
    expr = (onHost (import nixpkgs { inherit system; })).config.nixpkgs.overlays;
    expected = null;
  };
  "and works with and without the host's overlay" = {
    expr = map (overlays: variantOf (onHost (import nixpkgs { inherit system overlays; }))) [
      [ ]
      [ flake.overlays.default ]
    ];
    expected = [
      "vulkan-znver4"
      "vulkan-znver4"
    ];
  };
  "a user of a host with the module has its build numbers" = {
    expr =
      let
        inherit (flake.inputs.llama-cpp) rev;
        numbers.programs.llama-cpp = {
          builds.${rev} = 4711;
          releases.${rev} = "0.7.0";
        };
        inherit (homeWith { osConfig = numbers; }) config;
      in
      [
        config.programs.llama-cpp.builds
        config.programs.llama-cpp.package.version
      ];
    expected = [
      { ${flake.inputs.llama-cpp.rev} = 4711; }
      "0.7.0"
    ];
  };
  "assertions name the option" = {
    expr =
      map (a: lib.hasPrefix "programs.llama-cpp.microarch: \"zen4\"" a.message)
        (homeWith {
          settings.microarch = "zen4";
        }).config.assertions;
    expected = [ true ];
  };
}
