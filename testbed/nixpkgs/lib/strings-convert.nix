# Conversion of strings: numbers, versions, package names.
{ lib }:
let
  inherit (builtins)
    compareVersions
    fromJSON
    isInt
    match
    parseDrvName
    ;
in
rec {
  versionOlder = v1: v2: compareVersions v2 v1 == 1;
  versionAtLeast = v1: v2: !versionOlder v1 v2;
  getName =
    x: if builtins.isString x then (parseDrvName x).name else x.pname or (parseDrvName x.name).name;
  getVersion =
    x:
    if builtins.isString x then
      (parseDrvName x).version
    else
      x.version or (parseDrvName x.name).version;

  floatToString =
    float:
    let
      result = toString float;
      precise = float == fromJSON result;
    in
    lib.warnIf (!precise) "Imprecise conversion from float to string ${result}" result;

  toInt =
    str:
    let
      stripped = match "[[:space:]]*(-?[[:digit:]]+)[[:space:]]*" str;
      zeroes = match "[[:space:]]*0[[:digit:]]+[[:space:]]*" str != null;
      value = fromJSON (builtins.head stripped);
    in
    if stripped == null then
      throw "toInt: Could not convert ${lib.strings.escapeNixString str} to int."
    else if zeroes then
      throw "toInt: Ambiguity in interpretation of ${lib.strings.escapeNixString str} between octal and zero padded integer."
    else if !isInt value then
      throw "toInt: Could not convert ${lib.strings.escapeNixString str} to int."
    else
      value;
}
