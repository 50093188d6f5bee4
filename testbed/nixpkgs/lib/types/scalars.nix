# Plain values: booleans, numbers, strings, paths, packages.
{ lib }:
let
  inherit (builtins)
    concatStringsSep
    hasContext
    isAttrs
    isFloat
    isInt
    isPath
    isString
    match
    substring
    toJSON
    ;
  inherit (lib) isDerivation isStringLike;
  inherit (lib.types)
    addCheck
    asNoun
    defaultFunctor
    mkOptionType
    ;
  equal = lib.mergeEqualOption;
in
rec {
  raw = mkOptionType {
    name = "raw";
    description = "raw value";
    descriptionClass = "noun";
    merge = lib.mergeOneOption;
  };
  unspecified = mkOptionType {
    name = "unspecified";
    description = "unspecified value";
    descriptionClass = "noun";
  };
  optionType = mkOptionType {
    name = "optionType";
    description = "optionType";
    descriptionClass = "noun";
    check = lib.types.isOptionType;
    merge =
      loc: defs:
      if builtins.length defs == 1 then
        (builtins.head defs).value
      else
        lib.foldl' (
          a: b:
          let
            merged = a.typeMerge b.value.functor;
          in
          if merged == null then
            throw "The option `${lib.showOption loc}' has conflicting option types in ${lib.showFiles (lib.getFiles defs)}"
          else
            merged
        ) (builtins.head defs).value (builtins.tail defs);
  };

  bool = mkOptionType {
    name = "bool";
    description = "boolean";
    descriptionClass = "noun";
    check = builtins.isBool;
    merge = equal;
  };

  int = mkOptionType {
    name = "int";
    description = "signed integer";
    descriptionClass = "noun";
    check = isInt;
    merge = equal;
  };
  ints =
    let
      between =
        lowest: highest:
        assert lib.assertMsg (lowest <= highest) "ints.between: lowest must be smaller than highest";
        addCheck int (x: x >= lowest && x <= highest)
        // {
          name = "intBetween";
          description = "integer between ${toString lowest} and ${toString highest} (both inclusive)";
        };
      sized =
        name: description: lowest: highest: bits:
        between lowest highest
        // {
          inherit name;
          description = "${toString bits} bit ${description}; between ${toString lowest} and ${toString highest} (both inclusive)";
        };
      unsignedOf = bits: range: sized "unsignedInt${toString bits}" "unsigned integer" 0 (range - 1) bits;
      signedOf =
        bits: range:
        sized "signedInt${toString bits}" "signed integer" (0 - (range / 2)) (range / 2 - 1) bits;
    in
    {
      inherit between;
      positive = addCheck int (x: x > 0) // {
        name = "positiveInt";
        description = "positive integer, meaning >0";
        descriptionClass = "nonRestrictiveClause";
      };
      unsigned = addCheck int (x: x >= 0) // {
        name = "unsignedInt";
        description = "unsigned integer, meaning >=0";
        descriptionClass = "nonRestrictiveClause";
      };
      u8 = unsignedOf 8 256;
      u16 = unsignedOf 16 65536;
      u32 = unsignedOf 32 4294967296;
      s8 = signedOf 8 256;
      s16 = signedOf 16 65536;
      s32 = signedOf 32 4294967296;
    };
  port = ints.u16;
  float = mkOptionType {
    name = "float";
    description = "floating point number";
    descriptionClass = "noun";
    check = isFloat;
    merge = equal;
  };
  number = lib.types.either int float;
  numbers =
    let
      between =
        lowest: highest:
        addCheck number (x: x >= lowest && x <= highest)
        // {
          name = "numberBetween";
          description = "integer or floating point number between ${toString lowest} and ${toString highest} (both inclusive)";
        };
    in
    {
      inherit between;
      nonnegative = addCheck number (x: x >= 0) // {
        name = "numberNonnegative";
        description = "nonnegative integer or floating point number, meaning >=0";
        descriptionClass = "nonRestrictiveClause";
      };
      positive = addCheck number (x: x > 0) // {
        name = "numberPositive";
        description = "positive integer or floating point number, meaning >0";
        descriptionClass = "nonRestrictiveClause";
      };
    };

  str = mkOptionType {
    name = "str";
    description = "string";
    descriptionClass = "noun";
    check = isString;
    merge = equal;
  };
  nonEmptyStr = mkOptionType {
    name = "nonEmptyStr";
    description = "non-empty string";
    descriptionClass = "noun";
    check = x: isString x && match "[ \t\n]*" x == null;
    merge = equal;
  };
  singleLineStr = mkOptionType {
    name = "singleLineStr";
    description = "(optionally newline-terminated) single-line string";
    descriptionClass = "noun";
    check = x: isString x && match "[^\n\r]*\n?" x != null;
    merge = loc: defs: lib.removeSuffix "\n" (equal loc defs);
  };
  strMatching =
    pattern:
    mkOptionType {
      name = "strMatching ${lib.strings.escapeNixString pattern}";
      description = "string matching the pattern ${pattern}";
      descriptionClass = "noun";
      check = x: isString x && match pattern x != null;
      merge = equal;
      functor = defaultFunctor "strMatching" // {
        type = payload: strMatching payload.pattern;
        payload = { inherit pattern; };
        binOp = a: b: if a == b then a else null;
      };
    };
  separatedString =
    sep:
    mkOptionType {
      name = "separatedString";
      description = "strings concatenated with ${toJSON sep}";
      descriptionClass = "noun";
      check = isString;
      merge = _: defs: concatStringsSep sep (lib.getValues defs);
      functor = defaultFunctor "separatedString" // {
        type = payload: separatedString payload.sep;
        payload = { inherit sep; };
        binOp = a: b: if a == b then a else null;
      };
    };
  lines = separatedString "\n";
  commas = separatedString ",";
  envVar = separatedString ":";
  passwdEntry =
    entryType:
    addCheck entryType (s: !(lib.hasInfix ":" s || lib.hasInfix "\n" s))
    // {
      name = "passwdEntry ${entryType.name}";
      description = "${asNoun entryType}, not containing newlines or colons";
      descriptionClass = "nonRestrictiveClause";
    };

  enum =
    values:
    let
      show =
        v:
        if isString v then
          ''"${v}"''
        else if isInt v then
          toString v
        else if builtins.isBool v then
          lib.boolToString v
        else
          "<${builtins.typeOf v}>";
    in
    mkOptionType {
      name = "enum";
      description =
        if values == [ ] then
          "impossible (empty enum)"
        else if builtins.length values == 1 then
          "value ${show (builtins.head values)} (singular enum)"
        else
          "one of ${lib.concatMapStringsSep ", " show values}";
      descriptionClass = if builtins.length values < 2 then "noun" else "conjunction";
      check = x: builtins.elem x values;
      merge = equal;
      functor = defaultFunctor "enum" // {
        type = payload: enum payload.values;
        payload = { inherit values; };
        binOp = a: b: { values = lib.unique (a.values ++ b.values); };
      };
    };

  path = mkOptionType {
    name = "path";
    description = "absolute path";
    descriptionClass = "noun";
    check = x: isStringLike x && substring 0 1 (toString x) == "/";
    merge = equal;
  };

  package = mkOptionType {
    name = "package";
    descriptionClass = "noun";
    check = x: isDerivation x || lib.strings.isStorePath x;
    merge =
      loc: defs:
      let
        res = lib.mergeOneOption loc defs;
      in
      # Without string context a path would not become a dependency.
      if isPath res || (isString res && !hasContext res) then lib.toDerivation res else res;
  };
  shellPackage = package // {
    check = x: isDerivation x && x ? shellPath;
  };
  pkgs = addCheck (
    lib.types.unique {
      message = "A Nixpkgs pkgs set can not be merged with another pkgs set.";
    } lib.types.attrs
    // {
      name = "pkgs";
      descriptionClass = "noun";
      description = "Nixpkgs package set";
    }
  ) (x: (x._type or null) == "pkgs");
  attrs = mkOptionType {
    name = "attrs";
    description = "attribute set";
    check = isAttrs;
    merge = _: lib.foldl' (res: def: res // def.value) { };
    emptyValue.value = { };
  };
}
