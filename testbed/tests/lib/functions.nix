# Fixed points, overrides, scopes, metadata, sources, and other functions.
{ lib }:
let
  equal = expr: expected: { inherit expr expected; };
  fails = value: !(builtins.tryEval value).success;
  add = { a, b ? 1 }: { sum = a + b; };
in
{
  pipe = equal (lib.pipe 2 [ (x: x + 2) (x: x * 2) ]) 8;
  basics = equal [ (lib.id 1) (lib.const 1 2) (lib.flip (a: b: a - b) 1 3) (lib.defaultTo 1 null) (lib.mapNullable toString null) (lib.mod 11 4) (lib.min 1 2) (lib.max 1 2) (lib.xor true false) (lib.compare 1 2) (lib.boolToString true) (lib.boolToYesNo false) ] [ 1 1 2 1 null 3 1 2 true (-1) "true" "no" ];
  fix = equal (lib.fix (self: { a = 1; b = self.a + 1; })) { a = 1; b = 2; };
  extends = equal (lib.fix (lib.extends (final: prev: { b = prev.b + final.a; }) (final: { a = 1; b = 2; }))) { a = 1; b = 3; };
  composeExtensions = equal (lib.fix (lib.extends (lib.composeManyExtensions [ (_: prev: { x = prev.x + "b"; }) (_: prev: { x = prev.x + "c"; }) ]) (_: { x = "a"; }))) { x = "abc"; };
  makeExtensible = equal ((lib.makeExtensible (self: { a = 1; b = self.a; })).extend (_: _: { a = 5; })).b 5;
  toExtension = equal (map (o: (lib.toExtension o) { } { v = 1; }) [ { v = 2; } (prev: { v = prev.v + 2; }) (final: prev: { v = prev.v + 3; }) ]) [ { v = 2; } { v = 3; } { v = 4; } ];
  functionArgs = equal [
    (lib.functionArgs add)
    (lib.functionArgs (lib.setFunctionArgs (_: 1) { x = true; }))
    (lib.isFunction (lib.setFunctionArgs (_: 1) { }))
    (lib.isFunction { })
    (lib.functionArgs (lib.mirrorFunctionArgs add (x: x)))
    (lib.toFunction 1 2)
  ] [ { a = false; b = true; } { x = true; } true false { a = false; b = true; } 1 ];
  makeOverridable = equal (
    let
      o = lib.makeOverridable add { a = 1; };
    in
    [
      o.sum
      (o.override { b = 5; }).sum
      (o.override (old: { a = old.a + 10; })).sum
      ((o.override { a = 2; }).override { b = 3; }).sum
      (lib.functionArgs o.override)
    ]
  ) [ 2 6 12 5 { a = false; b = true; } ];
  overridableFunction = equal (
    let
      f = lib.makeOverridable ({ a }: x: a + x) { a = 1; };
    in
    [ (f 1) ((f.override { a = 2; }) 1) ]
  ) [ 2 3 ];
  callPackage = equal [
    (lib.callPackageWith { a = 1; b = 2; c = 3; } add { }).sum
    ((lib.callPackageWith { a = 1; b = 2; } add { b = 10; }).override { a = 5; }).sum
  ] [ 3 15 ];
  makeScope = equal (
    let
      newScope = extra: lib.callPackageWith ({ a = 1; } // extra);
      scope = lib.makeScope newScope (self: { b = 2; c = self.callPackage add { }; });
      changed = scope.overrideScope (final: prev: { b = prev.b + 5; });
    in
    [ scope.c.sum changed.c.sum (changed.newScope { a = 100; } add { }).sum ]
  ) [ 3 8 107 ];
  extendDerivation = equal (
    let
      drv = derivation { name = "x"; system = "x86_64-linux"; builder = "/bin/sh"; };
      good = lib.extendDerivation true { extra = 1; } drv;
      bad = lib.extendDerivation (throw "refused") { extra = 1; } drv;
    in
    [ good.extra (good.drvPath == drv.drvPath) bad.extra bad.name (fails bad.drvPath) (fails bad.outPath) ]
  ) [ 1 true 1 "x" true true ];
  overrideDerivation = equal (
    let
      drv = derivation { name = "x"; system = "x86_64-linux"; builder = "/bin/sh"; };
    in
    (lib.overrideDerivation (drv // { meta = { }; }) (old: { name = old.name + "y"; })).name
  ) "xy";
  getExe = equal (
    let
      drv = { type = "derivation"; name = "hello-1"; outPath = "/s/hello"; meta.mainProgram = "hi"; };
    in
    [ (lib.getExe drv) (lib.getExe' drv "other") (fails (lib.getExe' drv "a/b")) (fails (lib.getExe' "x" "y")) ]
  ) [ "/s/hello/bin/hi" "/s/hello/bin/other" true true ];
  priorities = equal [ (lib.hiPrio { }).meta.priority (lib.lowPrio { }).meta.priority (lib.setPrio 3 { meta.x = 1; }).meta ] [ (-10) 10 { x = 1; priority = 3; } ];
  cleanSourceFilter = equal (map (args: lib.cleanSourceFilter (lib.head args) (lib.last args)) [
    [ "/a/.git" "directory" ]
    [ "/a/b.o" "regular" ]
    [ "/a/x~" "regular" ]
    [ "/a/result" "symlink" ]
    [ "/a/b.c" "regular" ]
    [ "/a/.swp" "regular" ]
    [ "/a/.x.swp" "regular" ]
    [ "/a/sock" "unknown" ]
  ]) [ false false false false true false false false ];
  cleanSource = equal (
    let
      filtered = lib.cleanSourceWith {
        src = lib.cleanSource ./.;
        filter = path: _: baseNameOf path == "lists.nix" || baseNameOf path == "types.nix";
      };
      again = lib.cleanSourceWith { src = filtered; filter = path: _: baseNameOf path != "types.nix"; name = "named"; };
    in
    [
      (builtins.attrNames (builtins.readDir "${again}"))
      (lib.hasSuffix "-named" "${again}")
      (builtins.attrNames (builtins.readDir "${lib.sourceByRegex ./. [ "str.*\\.nix" ]}"))
      (builtins.attrNames (builtins.readDir "${lib.sourceFilesBySuffices ./. [ "s.nix" ]}") == builtins.filter (lib.hasSuffix "s.nix") (builtins.attrNames (builtins.readDir ./.)))
    ]
  ) [ [ "lists.nix" ] true [ "strings.nix" ] true ];
  warnings = equal [ (lib.warnIf false "no" 1) (lib.warnIfNot true "no" 2) (lib.throwIf false "no" 3) (fails (lib.throwIf true "yes" 3)) (fails (lib.throwIfNot false "yes" 3)) ] [ 1 2 3 true true ];
  asserts = equal [ (lib.assertMsg true "x") (fails (lib.assertMsg false "x")) (lib.assertOneOf "v" 1 [ 1 2 ]) (fails (lib.assertOneOf "v" 3 [ 1 2 ])) (lib.checkListOfEnum "m" [ 1 2 ] [ 1 ] "ok") (fails (lib.checkListOfEnum "m" [ 1 ] [ 2 ] "ok")) ] [ true true true true "ok" true ];
  licenses = equal [ lib.licenses.mit.spdxId lib.licenses.unfree.free lib.licenses.mit.free lib.licenses.nvidiaCuda.shortName lib.licenses.nvidiaCuda.free (lib.getLicenseFromSpdxId "MIT").spdxId ] [ "MIT" false true "CUDA EULA" false "MIT" ];
  filesystem = equal [ (lib.pathIsDirectory ./.) (lib.pathIsRegularFile ./lists.nix) (lib.pathType ./.) ] [ true true "directory" ];
  extend = equal ((lib.extend (final: prev: { answer = final.id 42; })).answer) 42;
  optionalDrvAttr = equal [ (lib.optionalDrvAttr true 1) (lib.optionalDrvAttr false 1) ] [ 1 null ];
}
