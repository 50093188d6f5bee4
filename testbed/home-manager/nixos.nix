# home-manager as a NixOS module: a submodule for each user.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkEnableOption mkOption types;
  cfg = config.home-manager;
  user = types.submoduleWith {
    description = "Home Manager module";
    class = "homeManager";
    specialArgs = {
      modulesPath = toString ./modules;
      osConfig = config;
      nixosConfig = config;
    }
    // cfg.extraSpecialArgs;
    modules =
      import ./module-list.nix
      ++ [
        (if cfg.useGlobalPkgs then ./modules/nixpkgs-disabled.nix else ./modules/nixpkgs.nix)
        (
          { name, ... }:
          {
            config = {
              _module.args = if cfg.useGlobalPkgs then { inherit pkgs; } else { basePkgs = pkgs; };
              home.username = config.users.users.${name}.name;
              home.homeDirectory = config.users.users.${name}.home;
            };
          }
        )
      ]
      ++ cfg.sharedModules;
  };
in
{
  options.home-manager = {
    useGlobalPkgs = mkEnableOption "using the system configuration's `pkgs` argument in Home Manager. This disables the Home Manager options {option}`nixpkgs.*`";
    useUserPackages = mkEnableOption "installation of user packages through the {option}`users.users.<name>.packages` option";
    backupFileExtension = mkOption {
      type = types.nullOr types.str;
      default = null;
      description = "On activation move existing files by appending this extension.";
    };
    extraSpecialArgs = mkOption {
      type = types.attrs;
      default = { };
      description = "Extra specialArgs passed to Home Manager.";
    };
    sharedModules = mkOption {
      type = types.listOf types.raw;
      default = [ ];
      description = "Extra modules added to all users.";
    };
    users = mkOption {
      type = types.attrsOf user;
      default = { };
      # Documented by home-manager, not by the system.
      visible = "shallow";
      description = "Per-user Home Manager configuration.";
    };
  };

  config = lib.mkIf (cfg.users != { }) {
    users.users = lib.mkIf cfg.useUserPackages (
      lib.mapAttrs (_: user: { packages = [ user.home.path ]; }) cfg.users
    );
    environment.pathsToLink = lib.mkIf cfg.useUserPackages [ "/etc/profile.d" ];
    assertions = lib.concatLists (
      lib.mapAttrsToList (
        name: user:
        map (a: {
          inherit (a) assertion;
          message = "${name} profile: ${a.message}";
        }) user.assertions
      ) cfg.users
    );
    warnings = lib.concatLists (
      lib.mapAttrsToList (name: user: map (w: "${name} profile: ${w}") user.warnings) cfg.users
    );
    systemd.services = lib.mapAttrs' (
      name: user:
      lib.nameValuePair "home-manager-${name}" {
        description = "Home Manager environment for ${name}";
        wantedBy = [ "multi-user.target" ];
        serviceConfig = {
          Type = "oneshot";
          User = user.home.username;
          ExecStart = "${user.home.activationPackage}/activate";
        };
      }
    ) cfg.users;
  };
}
