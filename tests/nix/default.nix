# The evaluation tests: `nix eval --json .#legacyPackages.x86_64-linux.llamafleetTests`.
#
# Each file is an attribute set of { expr; expected; }. All are run, and the
# answer is the list of those that differ. Whichever llama.cpp the lock file
# names is the one that is tested: the caller runs it once for each era.
{ flake }:
let
  inherit (flake.inputs.nixpkgs) lib;

  tests =
    lib.concatMapAttrs
      (
        file: path:
        lib.mapAttrs' (name: lib.nameValuePair "${file}: ${name}") (import path { inherit flake lib; })
      )
      {
        home = ./home.nix;
        hosts = ./hosts.nix;
        messages = ./messages.nix;
        microarch = ./microarch.nix;
        modules = ./modules.nix;
        needs = ./needs.nix;
        nixpkgs = ./nixpkgs.nix;
        service = ./service.nix;
        variants = ./variants.nix;
      };

  run =
    name:
    { expr, expected }:
    let
      # Of errors, this catches `throw` and `assert` only; any other ends the run.
      result = builtins.tryEval (builtins.deepSeq expr expr);
    in
    lib.optional (!result.success || result.value != expected) {
      inherit name expected;
      got = if result.success then result.value else "an error";
    };

  failures = lib.concatLists (lib.mapAttrsToList run tests);
in
{
  inherit failures;
  passed = lib.length (lib.attrNames tests) - lib.length failures;
}
