# `nixpkgs.*`: the options of a host's `pkgs`.
{
  config,
  options,
  lib,
  ...
}:
let
  cfg = config.nixpkgs;
  constructed = import ../../default.nix {
    inherit lib;
    localSystem = if options.nixpkgs.hostPlatform.isDefined then cfg.hostPlatform else cfg.system;
    inherit (cfg) config overlays;
  };
  # Merges nested sets, because two modules may each allow a package.
  mergeConfig =
    a: b:
    let
      merged = lib.recursiveUpdate a b;
      both = name: a ? ${name} && b ? ${name};
    in
    merged
    // lib.optionalAttrs (both "permittedInsecurePackages") {
      permittedInsecurePackages = a.permittedInsecurePackages ++ b.permittedInsecurePackages;
    };
in
{
  options.nixpkgs = {
    pkgs = lib.mkOption {
      type = lib.types.pkgs;
      example = lib.literalExpression "import <nixpkgs> { }";
      description = "If set, the pkgs argument to all modules, and `config` and `overlays` have no effect.";
    };
    config = lib.mkOption {
      type = lib.types.mkOptionType {
        name = "nixpkgs-config";
        description = "nixpkgs config";
        check = x: builtins.isAttrs x || lib.isFunction x;
        merge = _: defs: lib.foldl' mergeConfig { } (lib.getValues defs);
      };
      default = { };
      example = lib.literalExpression "{ allowBroken = true; allowUnfree = true; }";
      description = "Global configuration for Nixpkgs.";
    };
    overlays = lib.mkOption {
      type = lib.types.listOf (
        lib.types.mkOptionType {
          name = "nixpkgs-overlay";
          description = "nixpkgs overlay";
          check = lib.isFunction;
          merge = lib.mergeOneOption;
        }
      );
      default = [ ];
      description = "List of overlays to apply to Nixpkgs.";
    };
    hostPlatform = lib.mkOption {
      type = lib.types.either lib.types.str lib.types.attrs;
      example = "aarch64-linux";
      apply = lib.systems.elaborate;
      description = "The platform where the NixOS configuration will run.";
    };
    buildPlatform = lib.mkOption {
      type = lib.types.either lib.types.str lib.types.attrs;
      default = cfg.hostPlatform;
      apply = lib.systems.elaborate;
      description = "The platform on which NixOS should be built.";
    };
    system = lib.mkOption {
      type = lib.types.str;
      example = "i686-linux";
      default = throw "Neither `nixpkgs.hostPlatform` nor the legacy option `nixpkgs.system` has been set.";
      description = "The system of the host, in the old way: `nixpkgs.hostPlatform` is the new one.";
    };
  };
  config._module.args.pkgs =
    if options.nixpkgs.pkgs.isDefined then cfg.pkgs.appendOverlays cfg.overlays else constructed;
}
