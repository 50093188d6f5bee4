# Combinators, comparisons, warnings and function metadata.
{ lib }:
rec {
  id = x: x;
  const = x: _: x;
  pipe = builtins.foldl' (value: f: f value);
  or = x: y: x || y;
  flip =
    f: a: b:
    f b a;
  mergeAttrs = x: y: x // y;

  boolToString = b: if b then "true" else "false";

  min = x: y: if x < y then x else y;
  max = x: y: if x > y then x else y;
  mod = base: int: base - (int * (base / int));

  release = "26.11";
  version = "${release}pre-git-testbed";

  importJSON = path: builtins.fromJSON (builtins.readFile path);
  importTOML = path: builtins.fromTOML (builtins.readFile path);

  # `builtins.warn` is new in Nix 2.23.
  warn = builtins.warn or (msg: builtins.trace "evaluation warning: ${msg}");
  warnIf = cond: msg: if cond then warn msg else id;
  warnIfNot = cond: msg: if cond then id else warn msg;
  throwIf = cond: msg: if cond then throw msg else id;
  throwIfNot = cond: msg: if cond then id else throw msg;

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
}
