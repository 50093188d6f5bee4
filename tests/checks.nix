# The checks of `nix flake check`. Each evaluates only a few hosts, which limits the memory of an
# evaluator that evaluates one check after another. None builds llama.cpp.
{ self }:
pkgs:
let
  inherit (pkgs) lib;
  inherit (pkgs.stdenv.hostPlatform) system;

  hosts = lib.filterAttrs (_name: host: host.system == system) self.fleet;

  hostCheck =
    name: _host:
    lib.nameValuePair "host-${name}" (
      pkgs.writeText "${name}.json" (
        builtins.toJSON self.nixosConfigurations.${name}.config.programs.llama-cpp.manifest
      )
    );

  evalCheck =
    name: result:
    lib.nameValuePair "eval-${name}" (
      if result.failures == [ ] then
        pkgs.writeText "eval-${name}" "${toString result.passed} passed\n"
      else
        throw "evaluation tests failed: ${builtins.toJSON result.failures}"
    );

  packageCheck = name: lib.nameValuePair "xtask-${name}";
in
lib.mapAttrs' hostCheck hosts
// lib.mapAttrs' evalCheck (import ./. { flake = self; }).suites
// lib.mapAttrs' packageCheck self.packages.${system}.xtask.tests
