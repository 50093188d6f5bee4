# Fixed points and overlays: how an attribute set refers to its own final form.
{ lib }:
rec {
  fix =
    f:
    let
      x = f x;
    in
    x;

  # As `fix`, keeping the function so that it can be extended later.
  fix' =
    f:
    let
      x = f x // {
        __unfix__ = f;
      };
    in
    x;

  converge =
    f: x:
    let
      x' = f x;
    in
    if x' == x then x else converge f x';

  extends =
    overlay: f: final:
    let
      prev = f final;
    in
    prev // overlay final prev;

  composeExtensions =
    f: g: final: prev:
    let
      fApplied = f final prev;
    in
    fApplied // g final (prev // fApplied);

  composeManyExtensions = builtins.foldl' composeExtensions (_: _: { });

  makeExtensible = makeExtensibleWithCustomName "extend";

  makeExtensibleWithCustomName =
    extenderName: rattrs:
    fix' (
      self:
      rattrs self
      // {
        ${extenderName} = f: makeExtensibleWithCustomName extenderName (extends f rattrs);
      }
    );

  # Turns `{ a = 1; }`, `prev: { … }` or `final: prev: { … }` into the last form.
  toExtension =
    f:
    if lib.isFunction f then
      final: prev:
      let
        fPrev = f prev;
      in
      if lib.isFunction fPrev then f final prev else fPrev
    else
      _final: _prev: f;
}
