# Parts of a version string.
{ lib }:
rec {
  splitVersion = builtins.splitVersion;
  major = v: builtins.elemAt (splitVersion v) 0;
  minor = v: builtins.elemAt (splitVersion v) 1;
  patch = v: builtins.elemAt (splitVersion v) 2;
  majorMinor = v: builtins.concatStringsSep "." (lib.take 2 (splitVersion v));
  pad =
    n: version:
    let
      numericVersion = builtins.head (lib.splitString "-" version);
      versionSuffix = lib.removePrefix numericVersion version;
      numbers = lib.take n (splitVersion numericVersion);
      filled = numbers ++ lib.genList (_: "0") (lib.max 0 (n - builtins.length numbers));
    in
    builtins.concatStringsSep "." filled + versionSuffix;
}
