# The evaluation tests. Each file is a function to an attribute set of tests, { expr; expected; }.
#
#   suites.NAME   one file's result, { passed; failures; }; evaluates no other file
#   all           all of them: `nix eval --json .#legacyPackages.x86_64-linux.llamafleetTests`
#
# They test the locked llama.cpp; `cargo xtask test` runs them with each
# supported revision.
{ flake }:
let
  inherit (flake.inputs.nixpkgs) lib;

  files = {
    configurations = ./configurations.nix;
    gpu-targets = ./gpu-targets.nix;
    home = ./home.nix;
    hosts = ./hosts.nix;
    kv-cache = ./kv-cache.nix;
    messages = ./messages.nix;
    microarch = ./microarch.nix;
    modules = ./modules.nix;
    needs = ./needs.nix;
    nixpkgs = ./nixpkgs.nix;
    outputs = ./outputs.nix;
    parts = ./parts.nix;
    requests = ./requests.nix;
    service = ./service.nix;
    serving = ./serving.nix;
    variants = ./variants.nix;
  };

  # Helper functions for the tests.
  given = rec {
    inherit flake lib;

    # nixpkgs with the overlay.
    pkgsWith =
      args:
      import flake.inputs.nixpkgs (
        {
          system = "x86_64-linux";
          config.allowUnfree = true;
          overlays = [ flake.overlays.default ];
        }
        // args
      );
    pkgs = pkgsWith { };

    # A NixOS host with the module.
    systemWith =
      modules:
      lib.nixosSystem {
        modules = [
          flake.nixosModules.default
          {
            nixpkgs.hostPlatform = "x86_64-linux";
            networking.hostName = "example";
            system.stateVersion = "25.05";
          }
        ]
        ++ modules;
      };
  };

  run =
    name:
    { expr, expected }:
    let
      # Catches `throw` and `assert` only; any other error ends the evaluation.
      result = builtins.tryEval (builtins.deepSeq expr expr);
    in
    lib.optional (!result.success || result.value != expected) {
      inherit name expected;
      got = if result.success then result.value else "an error";
    };

  runFile =
    file: path:
    let
      tests = import path given;
      failures = lib.concatLists (lib.mapAttrsToList (name: run "${file}: ${name}") tests);
    in
    {
      inherit failures;
      passed = lib.length (lib.attrNames tests) - lib.length failures;
    };

  suites = lib.mapAttrs runFile files;
  results = lib.attrValues suites;
in
{
  inherit suites;
  all = {
    failures = lib.concatMap (result: result.failures) results;
    passed = lib.foldl' (sum: result: sum + result.passed) 0 results;
  };
}
