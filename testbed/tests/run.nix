# Runs the cases of lib/ on a lib. They must pass on Nixpkgs' lib as well:
#
#   nix eval --impure --json --expr \
#     'import ./testbed/tests/run.nix { lib = import PATH/lib; }'
{ lib }:
let
  helpers = import ./helpers.nix { inherit lib; };
  files = [
    "attrsets"
    "functions"
    "lists"
    "lists-parts"
    "modules"
    "modules-options"
    "modules-use"
    "packages"
    "priorities"
    "strings"
    "strings-convert"
    "submodules"
    "systems"
    "types-compound"
    "types-descriptions"
    "types-scalars"
  ];
  tests = builtins.concatMap (
    file:
    let
      cases = import (./lib + "/${file}.nix") helpers;
    in
    map (name: cases.${name} // { name = "${file}.${name}"; }) (builtins.attrNames cases)
  ) files;
  run =
    test:
    let
      # A case that throws does not stop the others.
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
