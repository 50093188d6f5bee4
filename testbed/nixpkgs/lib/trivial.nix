# Combinators, comparisons, warnings and function metadata.
{ lib }:
let
  inherit (builtins) fromJSON readFile;
in
rec {
  id = x: x;
  const = x: _: x;
  pipe = builtins.foldl' (value: f: f value);
  concat = x: y: x ++ y;
  or = x: y: x || y;
  and = x: y: x && y;
  xor = x: y: (!x) != (!y);
  flip =
    f: a: b:
    f b a;
  defaultTo = default: value: if value == null then default else value;
  mapNullable = f: a: if a == null then a else f a;
  mergeAttrs = x: y: x // y;

  inherit (builtins)
    bitAnd
    bitOr
    bitXor
    ceil
    floor
    ;
  bitNot = builtins.sub (-1);
  boolToString = b: if b then "true" else "false";
  boolToYesNo = b: if b then "yes" else "no";

  min = x: y: if x < y then x else y;
  max = x: y: if x > y then x else y;
  mod = base: int: base - (int * (base / int));
  compare =
    a: b:
    if a < b then
      -1
    else if a > b then
      1
    else
      0;
  splitByAndCompare =
    p: yes: no: a: b:
    if p a then
      if p b then yes a b else -1
    else if p b then
      1
    else
      no a b;

  release = "26.11";
  version = "${release}pre-git-testbed";
  codeName = "Testbed";
  versionSuffix = "pre-git-testbed";
  oldestSupportedRelease = 2605;
  isInOldestRelease = oldestSupportedReleaseIsAtLeast;
  oldestSupportedReleaseIsAtLeast = release: release <= oldestSupportedRelease;
  revisionWithDefault = default: default;
  inNixShell = builtins.getEnv "IN_NIX_SHELL" != "";
  inPureEvalMode = !builtins ? currentSystem;

  importJSON = path: fromJSON (readFile path);
  importTOML = path: builtins.fromTOML (readFile path);

  # `builtins.warn` came with Nix 2.23; before it, the same words as a trace.
  warn = builtins.warn or (msg: builtins.trace "evaluation warning: ${msg}");
  warnIf = cond: msg: if cond then warn msg else id;
  warnIfNot = cond: msg: if cond then id else warn msg;
  throwIf = cond: msg: if cond then throw msg else id;
  throwIfNot = cond: msg: if cond then id else throw msg;
  checkListOfEnum =
    msg: valid: given:
    let
      unexpected = lib.subtractLists valid given;
    in
    throwIfNot (unexpected == [ ])
      "${msg}: ${lib.concatStringsSep ", " (map toString unexpected)} unexpected; valid ones: ${lib.concatStringsSep ", " (map toString valid)}";

  setFunctionArgs = f: args: {
    __functor = _self: f;
    __functionArgs = args;
  };
  functionArgs =
    f:
    if f ? __functor then
      f.__functionArgs or (functionArgs (f.__functor f))
    else
      builtins.functionArgs f;
  isFunction = f: builtins.isFunction f || (f ? __functor && isFunction (f.__functor f));
  mirrorFunctionArgs =
    f:
    let
      args = functionArgs f;
    in
    g: setFunctionArgs g args;
  toFunction = v: if isFunction v then v else _: v;

  fromHexString =
    str:
    let
      match = builtins.match "(0x)?([0-7]?[0-9A-Fa-f]{1,15})" str;
    in
    if match != null then
      (builtins.fromTOML "v=0x${builtins.elemAt match 1}").v
    else
      throw "${builtins.toJSON str} is not a valid hexadecimal number.";

  toBaseDigits =
    base: i:
    let
      go = i: if i < base then [ i ] else [ (mod i base) ] ++ go (i / base);
    in
    assert builtins.isInt base && builtins.isInt i && base >= 2 && i >= 0;
    lib.reverseList (go i);
  toHexString =
    i:
    let
      digits = lib.stringToCharacters "0123456789ABCDEF";
    in
    lib.concatMapStrings (builtins.elemAt digits) (toBaseDigits 16 i);
}
