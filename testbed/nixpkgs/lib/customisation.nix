# `callPackage`, `override` and scopes.
{ lib }:
let
  inherit (builtins)
    attrNames
    concatStringsSep
    intersectAttrs
    isAttrs
    mapAttrs
    ;
in
rec {
  overrideDerivation =
    drv: f:
    let
      newDrv = derivation (drv.drvAttrs // (f drv));
    in
    lib.flip (extendDerivation (builtins.seq drv.drvPath true)) newDrv (
      {
        meta = drv.meta or { };
        passthru = drv.passthru or { };
      }
      // (drv.passthru or { })
      // lib.optionalAttrs (drv ? __spliced) {
        __spliced = { } // (mapAttrs (_: sDrv: overrideDerivation sDrv f) drv.__spliced);
      }
    );

  # Adds `override`, which calls `f` with other arguments. The results of `overrideAttrs` and
  # `overrideDerivation` have it as well.
  makeOverridable =
    f:
    let
      mirrorArgs = lib.mirrorFunctionArgs f;
    in
    mirrorArgs (
      origArgs:
      let
        result = f origArgs;
        overrideWith = newArgs: origArgs // (if lib.isFunction newArgs then newArgs origArgs else newArgs);
        overrideArgs = mirrorArgs (newArgs: makeOverridable f (overrideWith newArgs));
        overrideResult = g: makeOverridable (mirrorArgs (args: g (f args))) origArgs;
      in
      if isAttrs result then
        result
        // {
          override = overrideArgs;
          overrideDerivation = fdrv: overrideResult (x: overrideDerivation x fdrv);
          ${if result ? overrideAttrs then "overrideAttrs" else null} =
            fdrv: overrideResult (x: x.overrideAttrs fdrv);
        }
      else if lib.isFunction result then
        lib.setFunctionArgs result (lib.functionArgs result) // { override = overrideArgs; }
      else
        result
    );

  callPackageWith =
    autoArgs: fn: args:
    let
      f = if lib.isFunction fn then fn else import fn;
      fargs = lib.functionArgs f;
      allArgs = intersectAttrs fargs autoArgs // args;
      missing = lib.filterAttrs (name: hasDefault: !hasDefault && !(allArgs ? ${name})) fargs;
      position =
        arg:
        let
          loc = builtins.unsafeGetAttrPos arg fargs;
        in
        if loc != null then
          loc.file + ":" + toString loc.line
        else if !lib.isFunction fn then
          toString (if lib.pathIsDirectory fn then "${toString fn}/default.nix" else fn)
        else
          "<unknown location>";
      suggestions =
        arg:
        let
          near = lib.pipe (autoArgs // args) [
            attrNames
            (lib.filter (lib.strings.levenshteinAtMost 2 arg))
            (lib.sortOn (lib.strings.levenshtein arg))
            (lib.take 3)
            (map (x: ''"${x}"''))
          ];
        in
        if near == [ ] then
          ""
        else if builtins.length near == 1 then
          ", did you mean ${builtins.head near}?"
        else
          ", did you mean ${concatStringsSep ", " (lib.init near)} or ${lib.last near}?";
      complain =
        arg:
        "lib.customisation.callPackageWith: Function called without required argument \"${arg}\" at ${position arg}${suggestions arg}";
    in
    if missing == { } then
      makeOverridable f allArgs
    else
      # `abort`: `tryEval` must not hide a wrong argument list.
      abort (complain (builtins.head (attrNames missing)));

  # Adds attributes to a derivation and its outputs. `condition` is checked when a store
  # path is used.
  extendDerivation =
    condition: passthru: drv:
    let
      outputs = drv.outputs or [ "out" ];
      commonAttrs =
        drv // builtins.listToAttrs outputsList // { all = map (x: x.value) outputsList; } // passthru;
      outputToAttrListElement = outputName: {
        name = outputName;
        value =
          commonAttrs
          // {
            inherit (drv.${outputName}) type outputName;
            outputSpecified = true;
            drvPath =
              assert condition;
              drv.${outputName}.drvPath;
            outPath =
              assert condition;
              drv.${outputName}.outPath;
          }
          // lib.optionalAttrs (passthru ? overrideAttrs) {
            overrideAttrs = f: (passthru.overrideAttrs f).${outputName};
          };
      };
      outputsList = map outputToAttrListElement outputs;
    in
    commonAttrs
    // {
      drvPath =
        assert condition;
        drv.drvPath;
      outPath =
        assert condition;
        drv.outPath;
    };

  makeScope =
    newScope: f:
    let
      self = f self // {
        newScope = scope: newScope (self // scope);
        callPackage = self.newScope { };
        overrideScope = g: makeScope newScope (lib.extends g f);
        packages = f;
      };
    in
    self;
}
