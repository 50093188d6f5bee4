# Strings: joining, splitting, trimming, predicates.
{ lib }:
let
  inherit (builtins)
    filter
    genList
    ;
  lower = "abcdefghijklmnopqrstuvwxyz";
  upper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
in
rec {
  inherit (builtins)
    concatStringsSep
    hasContext
    isString
    match
    parseDrvName
    replaceStrings
    split
    splitVersion
    stringLength
    substring
    toJSON
    typeOf
    unsafeDiscardStringContext
    ;

  concatStrings = concatStringsSep "";
  concatMapStrings = f: list: concatStrings (map f list);
  concatMapStringsSep =
    sep: f: list:
    concatStringsSep sep (map f list);
  concatLines = concatMapStrings (s: s + "\n");
  optionalString = cond: string: if cond then string else "";

  stringToCharacters = s: genList (n: substring n 1 s) (stringLength s);
  lowerChars = stringToCharacters lower;
  upperChars = stringToCharacters upper;
  toLower = replaceStrings upperChars lowerChars;
  toUpper = replaceStrings lowerChars upperChars;

  hasPrefix = prefix: s: substring 0 (stringLength prefix) s == prefix;
  hasSuffix =
    suffix: s:
    let
      n = stringLength s - stringLength suffix;
    in
    n >= 0 && substring n (-1) s == suffix;
  hasInfix = infix: s: match ".*${escapeRegex infix}.*" "${s}" != null;
  removePrefix = prefix: s: if hasPrefix prefix s then substring (stringLength prefix) (-1) s else s;
  removeSuffix =
    suffix: s:
    if suffix != "" && hasSuffix suffix s then
      substring 0 (stringLength s - stringLength suffix) s
    else
      s;
  splitString =
    sep: s:
    map (lib.addContextFrom s) (
      filter isString (
        split (escapeRegex (toString sep)) (builtins.unsafeDiscardStringContext (toString s))
      )
    );

  trim = trimWith {
    start = true;
    end = true;
  };
  trimWith =
    {
      start ? false,
      end ? false,
    }:
    s:
    let
      blank = " \t\r\n";
      regex =
        if start && end then
          "[${blank}]*(.*[^${blank}])[${blank}]*"
        else if start then
          "[${blank}]*(.*)"
        else
          "(.*[^${blank}])[${blank}]*";
      found = match regex s;
    in
    if !start && !end then s else optionalString (found != null) (builtins.head found);

  escape = list: replaceStrings list (map (c: "\\${c}") list);
  escapeRegex = escape (stringToCharacters "\\[{()^$?*+|.");
  escapeNixString = s: escape [ "$" ] (builtins.toJSON s);
  escapeNixIdentifier =
    s:
    if match "[a-zA-Z_][a-zA-Z0-9_'-]*" s != null && !builtins.elem s keywords then
      s
    else
      escapeNixString s;
  keywords = [
    "assert"
    "else"
    "if"
    "in"
    "inherit"
    "let"
    "or"
    "rec"
    "then"
    "with"
  ];

  fileContents = file: removeSuffix "\n" (builtins.readFile file);

  isStringLike = x: isString x || builtins.isPath x || x ? outPath || x ? __toString;
  isStorePath =
    x: isStringLike x && substring 0 1 (toString x) == "/" && dirOf (toString x) == builtins.storeDir;
  addContextFrom = src: target: substring 0 0 src + target;
}
