# What each type takes, and how its definitions merge.
{ lib }:
let
  inherit (lib) mkOption types;
  equal = expr: expected: { inherit expr expected; };
  fails = value: !(builtins.tryEval (builtins.deepSeq value value)).success;
  value = type: defs: (lib.evalModules { modules = [ { options.a = mkOption { inherit type; }; } ] ++ map (a: { inherit a; }) defs; }).config.a;
  takes = type: map (x: !fails (value type [ x ]));
  drv = { type = "derivation"; name = "d"; outPath = "/nix/store/00000000000000000000000000000000-d"; };
in
{
  bool = equal (takes types.bool [ true "true" 1 ]) [ true false false ];
  boolByOr = equal (value types.boolByOr [ false true ]) true;
  int = equal (takes types.int [ 1 (-1) "1" 1.5 ]) [ true true false false ];
  ints = equal [
    (takes types.ints.positive [ 1 0 ])
    (takes types.ints.unsigned [ 0 (-1) ])
    (takes types.ints.u8 [ 255 256 (-1) ])
    (takes types.ints.s8 [ 127 (-128) 128 ])
    (takes types.port [ 65535 65536 ])
    (takes (types.ints.between 2 4) [ 1 2 4 5 ])
  ] [ [ true false ] [ true false ] [ true false false ] [ true true false ] [ true false ] [ false true true false ] ];
  float = equal [ (takes types.float [ 1.5 1 ]) (takes types.number [ 1.5 1 "1" ]) (takes types.numbers.positive [ 0.5 0 ]) ] [ [ true false ] [ true true false ] [ true false ] ];
  str = equal [ (takes types.str [ "x" 1 /x drv ]) (fails (value types.str [ "a" "b" ])) ] [ [ true false false false ] true ];
  strings = equal [
    (takes types.nonEmptyStr [ "x" "" " " ])
    (takes types.singleLineStr [ "x" "x\n" "x\ny" ])
    (value types.singleLineStr [ "x\n" ])
    (takes (types.strMatching "[0-9]+\\.[0-9]") [ "7.5" "75" ])
    (value types.lines [ "a" "b" ])
    (value types.commas [ "a" "b" ])
    (value (types.separatedString ";") [ "a" "b" ])
    (takes (types.passwdEntry types.str) [ "a" "a:b" ])
  ] [ [ true false false ] [ true true false ] "x" [ true false ] "b\na" "b,a" "b;a" [ true false ] ];
  enum = equal [ (takes (types.enum [ "a" 1 ]) [ "a" 1 "b" ]) (fails (value (types.enum [ "a" "b" ]) [ "a" "b" ])) ] [ [ true true false ] true ];
  path = equal [ (takes types.path [ /x "/x" "x" 1 drv ]) (takes types.pathInStore [ drv "/x" "/nix/store/00000000000000000000000000000000-d/x" ]) ] [ [ true true false false true ] [ true false true ] ];
  package = equal [ (map types.package.check [ drv "/x" 1 ]) (value types.package [ drv ]).name (fails (value types.package [ drv drv ])) ] [ [ true false false ] "d" true ];
  listOf = equal [ (value (types.listOf types.int) [ [ 1 ] [ 2 ] ]) (takes (types.listOf types.int) [ [ "x" ] 1 [ ] ]) (takes (types.nonEmptyListOf types.int) [ [ ] [ 1 ] ]) ] [ [ 2 1 ] [ false false true ] [ false true ] ];
  attrsOf = equal [ (value (types.attrsOf types.int) [ { a = 1; } { b = 2; } ]) (fails (value (types.attrsOf types.int) [ { a = 1; } { a = 2; } ])) (value (types.attrsOf (types.listOf types.int)) [ { a = [ 1 ]; } { a = [ 2 ]; } ]) ] [ { a = 1; b = 2; } true { a = [ 2 1 ]; } ];
  attrsOfIsStrictInNames = equal (value (types.attrsOf types.int) [ { a = lib.mkIf false 1; } ] ? a) false;
  lazyAttrsOf = equal (
    let
      v = value (types.lazyAttrsOf types.int) [ { a = lib.mkIf false 1; b = 2; } ];
    in
    [ (v ? a) v.b (fails v.a) (value (types.lazyAttrsOf (types.nullOr types.int)) [ { a = lib.mkIf false 1; } ]).a ]
  ) [ true 2 true null ];
  nullOr = equal [ (value (types.nullOr types.int) [ null ]) (value (types.nullOr types.int) [ 1 1 ]) (fails (value (types.nullOr types.int) [ null 1 ])) ] [ null 1 true ];
  either = equal [
    (takes (types.either types.int types.str) [ 1 "x" [ ] ])
    (value (types.either (types.listOf types.int) types.str) [ [ 1 ] [ 2 ] ])
    (fails (value (types.either types.int types.str) [ 1 "x" ]))
    (takes (types.oneOf [ types.int types.str types.bool ]) [ 1 "x" true 1.5 ])
  ] [ [ true true false ] [ 2 1 ] true [ true true true false ] ];
  stringOrList = equal (map (x: value (types.coercedTo types.str lib.singleton (types.listOf (types.enum [ "cpu" "cuda" ]))) [ x ]) [ "cpu" [ "cuda" "cpu" ] ]) [ [ "cpu" ] [ "cuda" "cpu" ] ];
  coercedMerges = equal (value (types.coercedTo types.int toString (types.listOf types.str)) [ [ "a" ] [ "b" ] ]) [ "b" "a" ];
  coercedTo = equal (value (types.coercedTo types.int toString types.str) [ 1 ]) "1";
  anything = equal [
    (value types.anything [ { a.b = 1; } { a.c = [ 2 ]; } ])
    (value types.anything [ 1 1 ])
    (fails (value types.anything [ 1 2 ]))
    (value types.anything [ [ 1 ] [ 1 ] ])
    (fails (value types.anything [ [ 1 ] [ 2 ] ]))
    (fails (value types.anything [ 1 "x" ]))
    (value types.anything [ { a = lib.mkForce 1; } { a = 2; } ])
    ((value types.anything [ (x: { a = x; }) (x: { b = x; }) ]) 1)
  ] [ { a = { b = 1; c = [ 2 ]; }; } 1 true [ 1 ] true true { a = 1; } { a = 1; b = 1; } ];
  raw = equal [ (value types.raw [ { a = lib.mkForce 1; } ]).a._type (fails (value types.raw [ 1 1 ])) ] [ "override" true ];
  unspecified = equal [ (value types.unspecified [ [ 1 ] [ 2 ] ]) (value types.unspecified [ { a = 1; } { b = 2; } ]) (value types.unspecified [ "a" "b" ]) ] [ [ 2 1 ] { a = 1; b = 2; } "ba" ];
  attrs = equal (value types.attrs [ { a.b = 1; } { a.c = 2; } ]) { a.b = 1; };
  functionTo = equal [ ((value (types.functionTo (types.listOf types.int)) [ (x: [ x ]) (x: [ (x + 1) ]) ]) 1) (takes (types.functionTo types.int) [ 1 ]) ] [ [ 2 1 ] [ false ] ];
  uniq = equal [ (value (types.uniq (types.listOf types.int)) [ [ 1 ] ]) (fails (value (types.uniq (types.listOf types.int)) [ [ 1 ] [ 2 ] ])) (fails (value (types.unique { message = "m"; } types.int) [ 1 1 ])) ] [ [ 1 ] true true ];
  addCheck = equal (takes (types.addCheck types.int (x: x > 3)) [ 4 3 "x" ]) [ true false false ];
  optionType = equal [ (value types.optionType [ types.int ]).name (fails (value types.optionType [ 1 ])) ] [ "int" true ];
  emptyValues = equal (map (type: (lib.evalModules { modules = [ { options.a = mkOption { inherit type; }; } ]; }).config.a) [ (types.listOf types.int) (types.attrsOf types.int) (types.nullOr types.int) types.attrs ]) [ [ ] { } null { } ];
  noEmptyValue = equal (map (type: fails (lib.evalModules { modules = [ { options.a = mkOption { inherit type; }; } ]; }).config.a) [ types.int types.lines (types.nonEmptyListOf types.int) (types.enum [ 1 ]) ]) [ true true true true ];
  descriptions = equal (map (t: t.description) [
    types.bool
    types.int
    types.ints.positive
    types.ints.u16
    types.str
    types.lines
    (types.enum [ "a" "b" ])
    (types.enum [ "a" ])
    (types.listOf types.str)
    (types.listOf (types.nullOr types.str))
    (types.attrsOf types.int)
    (types.lazyAttrsOf types.int)
    (types.nullOr (types.listOf types.str))
    (types.either types.int types.str)
    (types.oneOf [ types.int types.str types.bool ])
    (types.coercedTo types.int toString types.str)
    (types.functionTo types.int)
    types.path
    types.pathInStore
    types.package
    types.raw
    types.anything
    (types.strMatching "a")
    (types.submodule { })
    types.deferredModule
    (types.nonEmptyListOf types.int)
    types.nonEmptyStr
    types.port
    (types.ints.between 1 2)
    types.unspecified
    types.attrs
    types.float
    types.number
    (types.uniq types.int)
  ]) [
    "boolean"
    "signed integer"
    "positive integer, meaning >0"
    "16 bit unsigned integer; between 0 and 65535 (both inclusive)"
    "string"
    ''strings concatenated with "\n"''
    ''one of "a", "b"''
    ''value "a" (singular enum)''
    "list of string"
    "list of (null or string)"
    "attribute set of signed integer"
    "lazy attribute set of signed integer"
    "null or (list of string)"
    "signed integer or string"
    "signed integer or string or boolean"
    "string or signed integer convertible to it"
    "function that evaluates to a(n) signed integer"
    "absolute path"
    "path in the Nix store"
    "package"
    "raw value"
    "anything"
    "string matching the pattern a"
    "submodule"
    "module"
    "non-empty (list of signed integer)"
    "non-empty string"
    "16 bit unsigned integer; between 0 and 65535 (both inclusive)"
    "integer between 1 and 2 (both inclusive)"
    "unspecified value"
    "attribute set"
    "floating point number"
    "signed integer or floating point number"
    "signed integer"
  ];
}
