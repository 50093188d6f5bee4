# What the cases of lib/ are written with.
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
  # Which of the values the type accepts: `y` or `n` for each.
  accepts =
    type: values: lib.concatMapStrings (x: if fails (value type [ x ]) then "n" else "y") values;
}
