# `config` with defaults for the options that packages read.
{ lib }:
config: pkgs:
let
  given = if lib.isFunction config then config { inherit pkgs lib; } else config;
  fromEnv = name: builtins.getEnv name == "1";
  defaults = {
    allowAliases = true;
    allowBroken = fromEnv "NIXPKGS_ALLOW_BROKEN";
    allowUnfree = fromEnv "NIXPKGS_ALLOW_UNFREE";
    allowUnsupportedSystem = fromEnv "NIXPKGS_ALLOW_UNSUPPORTED_SYSTEM";
    cudaSupport = false;
    rocmSupport = false;
    cudaForwardCompat = true;
    permittedInsecurePackages = [ ];
    # The Ninja targets that a package builds: see targets.nix.
    testbedTargets = import ./targets.nix;
  };
in
defaults
// {
  allowUnfreePredicate = _: false;
  allowInsecurePredicate = _: false;
}
// given
