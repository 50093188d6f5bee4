# All evaluation tests of the stand-in lib:
#
#   nix eval --json --file testbed/tests/default.nix
#
# gives `{ passed, failures }`. They hold for Nixpkgs' own lib as well, which is
# what makes the stand-in one: `--arg lib 'import PATH/lib'` runs them on that.
{
  lib ? import ../nixpkgs/lib,
}:
let
  files = {
    attrsets = ./lib/attrsets.nix;
    functions = ./lib/functions.nix;
    lists = ./lib/lists.nix;
    strings = ./lib/strings.nix;
    modules = ./lib/modules.nix;
    priorities = ./lib/priorities.nix;
    types = ./lib/types.nix;
    submodules = ./lib/submodules.nix;
    systems = ./lib/systems.nix;
  };
  tests = builtins.concatLists (
    builtins.attrValues (
      builtins.mapAttrs (
        file: path:
        let
          cases = import path { inherit lib; };
        in
        map (name: cases.${name} // { name = "${file}.${name}"; }) (builtins.attrNames cases)
      ) files
    )
  );
  run =
    test:
    let
      # A case that throws fails alone, not the whole run.
      got = builtins.tryEval (builtins.deepSeq test.expr test.expr);
    in
    {
      inherit (test) name expected;
      got = if got.success then got.value else "«threw»";
      ok = got.success && got.value == test.expected;
    };
  results = map run tests;
in
{
  passed = builtins.length (builtins.filter (r: r.ok) results);
  failures = map (r: removeAttrs r [ "ok" ]) (builtins.filter (r: !r.ok) results);
}
