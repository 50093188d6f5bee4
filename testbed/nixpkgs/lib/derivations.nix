# Derivations as values.
{ lib }:
rec {
  optionalDrvAttr = cond: value: if cond then value else null;
  warnOnInstantiate =
    msg: drv:
    let
      drvToWrap = removeAttrs drv [
        "meta"
        "name"
        "type"
      ];
    in
    drv // lib.mapAttrs (_: lib.warn msg) drvToWrap;

  # A derivation whose name and outputs are known before its value is computed.
  lazyDerivation =
    {
      derivation,
      meta ? null,
      passthru ? { },
      outputs ? [ "out" ],
    }:
    let
      checked =
        if derivation.type or null == "derivation" then
          derivation
        else
          throw "lazyDerivation: input must be a derivation.";
    in
    {
      type = "derivation";
      inherit (checked)
        outPath
        outputName
        drvPath
        name
        system
        ;
      inherit outputs;
    }
    // lib.genAttrs outputs (output: checked.${output})
    // lib.optionalAttrs (meta != null) { inherit meta; }
    // passthru;
}
