# Strings: joining, splitting, trimming, predicates.
{ lib }:
let
  inherit (builtins)
    elemAt
    filter
    genList
    length
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

  join = concatStringsSep;
  concatStrings = concatStringsSep "";
  concatMapStrings = f: list: concatStrings (map f list);
  concatImapStrings = f: list: concatStrings (lib.imap1 f list);
  concatMapStringsSep =
    sep: f: list:
    concatStringsSep sep (map f list);
  concatImapStringsSep =
    sep: f: list:
    concatStringsSep sep (lib.imap1 f list);
  concatMapAttrsStringSep =
    sep: f: attrs:
    concatStringsSep sep (lib.mapAttrsToList f attrs);
  concatLines = concatMapStrings (s: s + "\n");
  intersperse =
    separator: list:
    if list == [ ] || length list == 1 then
      list
    else
      builtins.tail (
        builtins.concatMap (x: [
          separator
          x
        ]) list
      );
  replicate = n: s: concatStrings (lib.lists.replicate n s);
  optionalString = cond: string: if cond then string else "";

  stringToCharacters = s: genList (n: substring n 1 s) (stringLength s);
  stringAsChars = f: s: concatStrings (map f (stringToCharacters s));
  lowerChars = stringToCharacters lower;
  upperChars = stringToCharacters upper;
  toLower = replaceStrings upperChars lowerChars;
  toUpper = replaceStrings lowerChars upperChars;
  toSentenceCase =
    str:
    lib.throwIfNot (isString str)
      "toSentenceCase does only accepts string values, but got ${builtins.typeOf str}"
      (toUpper (substring 0 1 str) + toLower (substring 1 (-1) str));
  toCamelCase =
    str:
    let
      parts = filter (p: isString p && p != "") (split "[-_ .]+" str);
      # An inner capital keeps its place, as in "fooBar".
      keep = p: substring 0 1 p + substring 1 (-1) p;
      capital = p: toUpper (substring 0 1 p) + substring 1 (-1) p;
      first = p: toLower (substring 0 1 p) + substring 1 (-1) (keep p);
    in
    concatStrings (lib.imap0 (i: p: if i == 0 then first p else capital p) parts);

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
  splitStringBy =
    predicate: keepSplit: str:
    let
      chars = stringToCharacters str;
      step =
        acc: i:
        let
          previous = if i == 0 then "" else elemAt chars (i - 1);
          current = elemAt chars i;
        in
        if predicate previous current then
          {
            done = acc.done ++ [ acc.open ];
            open = if keepSplit then current else "";
          }
        else
          acc // { open = acc.open + current; };
      end = builtins.foldl' step {
        done = [ ];
        open = "";
      } (lib.range 0 (length chars - 1));
    in
    if chars == [ ] then [ "" ] else map (lib.addContextFrom str) (end.done ++ [ end.open ]);

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
  escapeXML = replaceStrings [ "\"" "'" "<" ">" "&" ] [ "&quot;" "&apos;" "&lt;" "&gt;" "&amp;" ];
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
  replaceString = from: to: replaceStrings [ from ] [ to ];

  nameFromURL =
    url: sep:
    let
      filename = lib.last (splitString "/" url);
      name = builtins.head (splitString sep filename);
    in
    assert name != filename;
    name;
  fileContents = file: removeSuffix "\n" (builtins.readFile file);

  isStringLike = x: isString x || builtins.isPath x || x ? outPath || x ? __toString;
  isConvertibleWithToString =
    x:
    isStringLike x
    || x == null
    || builtins.isInt x
    || builtins.isFloat x
    || builtins.isBool x
    || (builtins.isList x && builtins.all isConvertibleWithToString x);
  isStorePath =
    x: isStringLike x && substring 0 1 (toString x) == "/" && dirOf (toString x) == builtins.storeDir;
  addContextFrom = src: target: substring 0 0 src + target;
}
