# `mkDerivation`, with `overrideAttrs` and `meta`.
{
  lib,
  pkgs,
  config,
  stdenv,
}:
let
  checkMeta = import ./check-meta.nix { inherit lib config stdenv; };

  # `f` gets the final attributes, so that an override also affects attributes that depend on the
  # changed ones.
  extensible =
    f:
    let
      attrs = f (attrs // { inherit finalPackage overrideAttrs; });
      overrideAttrs = overlay: extensible (lib.extends (asExtension overlay) f);
      finalPackage = build overrideAttrs attrs;
    in
    finalPackage;

  # `{ … }`, `prev: { … }` or `final: prev: { … }`.
  asExtension =
    overlay: final: prev:
    let
      once = overlay prev;
    in
    if !lib.isFunction overlay then
      overlay
    else if lib.isFunction once then
      overlay final prev
    else
      once;

  inputLists = [
    "buildInputs"
    "nativeBuildInputs"
    "propagatedBuildInputs"
    "propagatedNativeBuildInputs"
    "nativeCheckInputs"
  ];

  build =
    overrideAttrs: attrs:
    let
      name = attrs.name or "${attrs.pname}-${attrs.version}";
      outputs = attrs.outputs or [ "out" ];
      inherit (checkMeta { inherit name outputs; } (attrs.meta or { })) meta valid;
      inputs = lib.genAttrs (lib.filter (list: attrs ? ${list}) inputLists) (
        list:
        map (drv: if lib.isDerivation drv then lib.getDev drv else drv) (
          lib.filter (drv: drv != null) (lib.flatten attrs.${list})
        )
      );
      targets = targetsOf attrs (attrs.pname or name);
      arguments =
        removeAttrs attrs [
          "checkInputs"
          "env"
          "meta"
          "passthru"
          "pos"
        ]
        // inputs
        // attrs.env or { }
        // {
          inherit name outputs;
          inherit (stdenv) system;
          builder = attrs.realBuilder or "/bin/bash";
          args =
            attrs.args or [
              "-e"
              ./setup.sh
            ];
          stdenvHooks = ./phases.sh;
          stdenvCC = if stdenv.hasCC then stdenv.cc else "";
        }
        // lib.optionalAttrs (targets != [ ]) { testbedTargets = targets; };
      passthru = attrs.passthru or { };
    in
    lib.extendDerivation valid (
      {
        # For `mkShell { inputsFrom }` and `nix develop`, which build the inputs only.
        inputDerivation = derivation (
          removeAttrs arguments [ "outputs" ]
          // {
            name = "inputs-of-${name}";
            outputs = [ "out" ];
          }
        );
      }
      // passthru
      // {
        inherit
          meta
          overrideAttrs
          passthru
          stdenv
          ;
        inherit (stdenv) system;
      }
    ) (derivation arguments);

  targetsOf =
    attrs: pname:
    let
      names = lib.filter (name: pname == name || lib.hasPrefix "${name}-" pname) (
        lib.attrNames config.testbedTargets
      );
    in
    if names == [ ] then [ ] else lib.toFunction config.testbedTargets.${lib.head names} attrs;
in
fnOrAttrs: extensible (lib.toFunction fnOrAttrs)
