# `nix flake check`: the evaluation tests, and that each host of this system
# evaluates. Nothing here builds a llama.cpp.
{ self }:
pkgs:
let
  inherit (pkgs) lib;

  tests = import ./. { flake = self; };

  ofThisSystem = lib.filterAttrs (
    _name: host: host.system == pkgs.stdenv.hostPlatform.system
  ) self.fleet;
in
lib.mapAttrs' (
  name: _row:
  lib.nameValuePair "host-${name}" (
    pkgs.writeText "${name}.json" (
      builtins.toJSON self.nixosConfigurations.${name}.config.programs.llama-cpp.manifest
    )
  )
) ofThisSystem
// {
  evaluation =
    if tests.failures == [ ] then
      pkgs.writeText "evaluation-tests" "${toString tests.passed} passed\n"
    else
      throw "evaluation tests failed: ${builtins.toJSON tests.failures}";
}
