# For a system whose `pkgs` is made elsewhere: `nixpkgs.*` cannot change it.
{ config, lib, ... }:
{
  disabledModules = [ ./nixpkgs.nix ];
  options.nixpkgs = {
    pkgs = lib.mkOption {
      type = lib.types.pkgs;
      description = "The pkgs module argument.";
    };
  }
  // lib.genAttrs [ "config" "overlays" "hostPlatform" "system" ] (
    name:
    lib.mkOption {
      type = lib.types.unique { message = "nixpkgs.${name} is set to read-only"; } lib.types.anything;
      readOnly = true;
      default = config.nixpkgs.pkgs.${name} or null;
      description = "The `${name}` of the given pkgs.";
    }
  );
  config._module.args.pkgs = config.nixpkgs.pkgs;
}
