# evalModules: how modules are found, and what an evaluation gives.
{ lib }:
let
  inherit (lib) mkOption types;
  equal = expr: expected: { inherit expr expected; };
  fails = value: !(builtins.tryEval (builtins.deepSeq value value)).success;
  option = type: mkOption { inherit type; };
  eval = modules: lib.evalModules { inherit modules; };
  strings = { options.s = option (types.listOf types.str); };
in
{
  shorthand = equal (eval [ { options.a = option types.int; } { a = 1; } ]).config { a = 1; };
  function = equal (eval [
    ({ config, lib, options, ... }: {
      options.a = lib.mkOption { default = 1; };
      options.b = lib.mkOption { default = config.a + (if options.a.isDefined then 1 else 0); };
    })
  ]).config { a = 1; b = 2; };
  # The order in which definitions of imported and listed modules meet.
  definitionOrder = equal (eval [
    strings
    { imports = [ { s = [ "import1" ]; } { s = [ "import2" ]; } ]; s = [ "own" ]; }
    { s = [ "second" ]; }
  ]).config.s [ "import2" "import1" "second" "own" ];
  nestedImports = equal (eval [ strings { imports = [ { imports = [ { s = [ "deep" ]; } ]; s = [ "mid" ]; } ]; s = [ "top" ]; } ]).config.s [ "deep" "mid" "top" ];
  importsOnceByKey = equal (eval [ strings { key = "k"; s = [ "x" ]; } { key = "k"; s = [ "x" ]; } ]).config.s [ "x" ];
  anonymousTwice = equal (eval [ strings { s = [ "x" ]; } { s = [ "x" ]; } ]).config.s [ "x" "x" ];
  disabledModules = equal (eval [ strings { key = "k"; s = [ "x" ]; } { disabledModules = [ { key = "k"; } ]; s = [ "y" ]; } ]).config.s [ "y" ];
  disabledTakesItsImports = equal (eval [ strings { key = "k"; imports = [ { s = [ "below" ]; } ]; } { disabledModules = [ { key = "k"; } ]; s = [ "y" ]; } ]).config.s [ "y" ];
  specialArgsInImports = equal (lib.evalModules { specialArgs.extra = { s = [ "e" ]; }; modules = [ strings ({ extra, ... }: { imports = [ extra ]; }) ]; }).config.s [ "e" ];
  moduleArgs = equal (eval [ { options.a = option types.int; config._module.args.n = 3; } ({ n, ... }: { a = n; }) ]).config.a 3;
  moduleArgsByName = equal (eval [ { options.a = option types.int; config._module.args.n = 3; } (args@{ n, ... }: { a = args.n; }) ]).config.a 3;
  moduleArgDefaultIsIgnored = equal (eval [ { options.a = option types.int; config._module.args.n = 3; } ({ n ? 7, ... }: { a = n; }) ]).config.a 3;
  missingModuleArg = equal (builtins.tryEval (eval [ { options.a = option types.int; } ({ lib, ... }: { a = 1; }) ]).config.a).value 1;
  configHidesModule = equal (builtins.attrNames (eval [ strings ]).config) [ "s" ];
  optionAttributes = equal (
    let
      o = (eval [ { _file = "decl"; options.a = mkOption { type = types.int; default = 1; description = "d"; }; } { _file = "def"; a = 2; } ]).options.a;
    in
    { inherit (o) value isDefined files definitions highestPrio loc declarations definitionsWithLocations; text = "${o}"; }
  ) {
    value = 2;
    isDefined = true;
    files = [ "def" ];
    definitions = [ 2 ];
    highestPrio = 100;
    loc = [ "a" ];
    declarations = [ "decl" ];
    definitionsWithLocations = [ { file = "def"; value = 2; } ];
    text = "a";
  };
  defaultPriority = equal (eval [ { options.a = mkOption { default = 1; }; } ]).options.a.highestPrio 1500;
  undefined = equal (
    let
      e = eval [ { options.a = option types.int; } ];
    in
    [ e.options.a.isDefined (fails e.config.a) ]
  ) [ false true ];
  unknownOption = equal (fails (eval [ { options.a = option types.int; } { b = 1; } ]).config.a) true;
  unknownNestedOption = equal (fails (eval [ { options.a.b = option types.int; } { a.c = 1; a.b = 1; } ]).config.a.b) true;
  uncheckedUnknown = equal (eval [ { options.a = option types.int; config._module.check = false; } { b = 1; a = 2; } ]).config { a = 2; };
  freeform = equal (eval [ { freeformType = types.attrsOf types.int; options.a = option types.str; } { a = "x"; b = 1; } { c = 2; } ]).config { a = "x"; b = 1; c = 2; };
  freeformNested = equal (eval [ { freeformType = types.attrsOf (types.attrsOf types.int); options.a.x = option types.int; } { a.x = 1; a.y = 2; } ]).config { a = { x = 1; y = 2; }; };
  freeformChecks = equal (fails (eval [ { freeformType = types.attrsOf types.int; } { b = "x"; } ]).config) true;
  nestedDeclarations = equal (eval [ { options.a.b = mkOption { default = 1; }; } { options.a.c = mkOption { default = 2; }; } ]).config { a = { b = 1; c = 2; }; };
  declaredTwice = equal (fails (eval [ { options.a = mkOption { default = 1; }; } { options.a = mkOption { default = 2; }; } ]).config.a) true;
  declarationsMerge = equal (
    let
      e = eval [ { options.a = option (types.enum [ "x" ]); } { options.a = option (types.enum [ "y" ]); } { options.a = mkOption { default = "y"; }; } ];
    in
    [ e.config.a e.options.a.type.description ]
  ) [ "y" ''one of "y", "x"'' ];
  declarationsClash = equal (fails (eval [ { options.a = option types.int; } { options.a = option types.str; } { a = 1; } ]).config.a) true;
  submoduleOptionExtended = equal (eval [
    { options.a = mkOption { type = types.submodule { options.x = mkOption { default = 1; }; }; default = { }; }; }
    { options.a.y = mkOption { default = 2; }; }
  ]).config { a = { x = 1; y = 2; }; };
  optionUnderOption = equal (fails (eval [ { options.a = option types.int; } { options.a.b = option types.int; } { a = 1; } ]).config) true;
  apply = equal (eval [ { options.a = mkOption { type = types.int; apply = x: x * 2; }; } { a = 4; } ]).config.a 8;
  readOnly = equal [
    (eval [ { options.a = mkOption { readOnly = true; default = 1; }; } ]).config.a
    (eval [ { options.a = mkOption { readOnly = true; }; } { a = 1; } ]).config.a
    (fails (eval [ { options.a = mkOption { readOnly = true; default = 1; }; } { a = 2; } ]).config.a)
    (fails (eval [ { options.a = mkOption { type = types.int; readOnly = true; }; } { a = 1; } { a = 1; } ]).config.a)
  ] [ 1 1 true true ];
  badAttributes = equal (fails (eval [ { options.a = option types.int; a = 1; } ]).config.a) true;
  notAModule = equal (map (m: fails (eval [ m ]).config) [ [ { } ] { _type = "flake"; } ]) [ true true ];
  extendModules = equal ((eval [ strings { s = [ "a" ]; } ]).extendModules { modules = [ { s = [ "b" ]; } ]; }).config.s [ "b" "a" ];
  extendModulesArg = equal (eval [
    { options.a = mkOption { default = 1; }; options.b = mkOption { }; }
    ({ extendModules, ... }: { b = (extendModules { modules = [ { a = 5; b = lib.mkForce 0; } ]; }).config.a; })
  ]).config.b 5;
  evalType = equal (eval [ { options.sub = option (eval [ { options.x = mkOption { default = 7; }; } ]).type; sub = { }; } ] ? config) true;
  classMatches = equal [
    (lib.evalModules { class = "nixos"; modules = [ { _class = "nixos"; options.a = mkOption { default = 1; }; } ]; }).config.a
    (fails (lib.evalModules { class = "nixos"; modules = [ { _class = "homeManager"; options.a = mkOption { default = 1; }; } ]; }).config.a)
  ] [ 1 true ];
  metaPassesThrough = equal (eval [ { options.meta = option types.attrs; } { meta.x = 1; } ]).config.meta { x = 1; };
  mkIfAtTop = equal (eval [ { options.a = mkOption { default = 0; }; options.b = mkOption { default = 0; }; } ({ config, ... }: { config = lib.mkIf (config.b == 1) { a = 1; }; }) { b = 1; } ]).config.a 1;
  mkMergeAtTop = equal (eval [ { options.a = mkOption { default = 0; }; config = lib.mkMerge [ (lib.mkIf false { a = 1; }) { a = 2; } ]; } ]).config.a 2;
  prefixInErrors = equal (lib.evalModules { prefix = [ "p" ]; modules = [ { options.a = mkOption { default = 1; }; } ]; }).options.a.loc [ "p" "a" ];
  paths = equal (eval [ ../fixtures/module.nix ../fixtures/module.nix ]).config.list [ "once" ];
  pathFiles = equal (map baseNameOf (eval [ ../fixtures/module.nix ]).options.list.declarations) [ "module.nix" ];
  rename = equal (
    let
      e = eval [
        { options.warnings = option (types.listOf types.str); options.assertions = option (types.listOf types.unspecified); options.new = mkOption { default = 0; }; }
        (lib.mkRenamedOptionModule [ "old" "x" ] [ "new" ])
        { _file = "here"; old.x = 3; }
      ];
    in
    [ e.config.new e.config.warnings ]
  ) [ 3 [ "The option `old.x' defined in `here' has been renamed to `new'." ] ];
  alias = equal (eval [ { options.new = mkOption { default = 0; }; } (lib.mkAliasOptionModule [ "old" ] [ "new" ]) { old = lib.mkForce 3; new = 4; } ]).config { old = 3; new = 3; };
  removed = equal (
    let
      e = eval [ { options.assertions = option (types.listOf types.unspecified); } (lib.mkRemovedOptionModule [ "gone" ] "Use less.") { _file = "f"; gone = 1; } ];
      a = lib.head e.config.assertions;
    in
    [ a.assertion a.message ]
  ) [ false "The option definition `gone' in `f' no longer has any effect; please remove it.\nUse less.\n" ];
  enableOption = equal (
    let
      e = eval [ { options.e = lib.mkEnableOption "it"; } ];
    in
    [ e.config.e e.options.e.description ]
  ) [ false "Whether to enable it." ];
  packageOption = equal (
    let
      pkgs.hello = { type = "derivation"; name = "hello"; };
      o = lib.mkPackageOption pkgs "hello" { extraDescription = "More."; };
      missing = lib.mkPackageOption pkgs "absent" { };
    in
    [ o.default.name o.description o.defaultText.text (fails missing.default) (lib.mkPackageOption pkgs "hello" { default = null; nullable = true; }).default ]
  ) [ "hello" "The hello package to use. More." "pkgs.hello" true null ];
  docList = equal (map (o: removeAttrs o [ "declarations" "loc" ]) (lib.optionAttrSetToDocList (removeAttrs (eval [ { options.a.b = mkOption { type = types.int; default = 1; description = "d"; }; options.c = mkOption { type = types.str; example = "e"; internal = true; }; } ]).options [ "_module" ]))) [
    { name = "a.b"; description = "d"; visible = true; internal = false; readOnly = false; type = "signed integer"; default = { _type = "literalExpression"; text = "1"; }; }
    { name = "c"; description = null; visible = true; internal = true; readOnly = false; type = "string"; example = { _type = "literalExpression"; text = "\"e\""; }; }
  ];
  showOption = equal (map lib.showOption [ [ "a" "b" ] [ "a" "b.c" ] [ "a" "*" "x" ] [ "a" "<name>" ] [ "a" "2x" ] ]) [ "a.b" "a.\"b.c\"" "a.*.x" "a.<name>" "a.\"2x\"" ];
}
