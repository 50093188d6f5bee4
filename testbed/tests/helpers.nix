# Helper functions for the cases of lib/.
{ lib }:
rec {
  inherit lib;
  inherit (lib) mkOption types;

  equal = expr: expected: { inherit expr expected; };
  fails = value: !(builtins.tryEval (builtins.deepSeq value value)).success;

  option = type: mkOption { inherit type; };
  eval = modules: lib.evalModules { inherit modules; };
  # The value of an option of this type with these definitions.
  value =
    type: defs: (eval ([ { options.a = option type; } ] ++ map (a: { inherit a; }) defs)).config.a;
  # Whether the type accepts each of the values: `y` or `n`.
  accepts =
    type: values: lib.concatMapStrings (x: if fails (value type [ x ]) then "n" else "y") values;
}
