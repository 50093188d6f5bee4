# Shell words, search paths and flags of build tools.
{ lib }:
let
  inherit (builtins) concatStringsSep match substring;
in
rec {
  escapeShellArg =
    arg:
    let
      string = toString arg;
    in
    if match "[[:alnum:],._+:@%/-]+" string == null then
      "'${builtins.replaceStrings [ "'" ] [ "'\\''" ] string}'"
    else
      string;
  escapeShellArgs = lib.concatMapStringsSep " " escapeShellArg;
  isValidPosixName = name: match "[a-zA-Z_][a-zA-Z0-9_]*" name != null;
  toShellVar =
    name: value:
    lib.throwIfNot (isValidPosixName name) "toShellVar: ${name} is not a valid shell variable name" (
      if builtins.isAttrs value && !lib.isStringLike value then
        "declare -A ${name}=(${
          concatStringsSep " " (lib.mapAttrsToList (n: v: "[${escapeShellArg n}]=${escapeShellArg v}") value)
        })"
      else if builtins.isList value then
        "declare -a ${name}=(${escapeShellArgs value})"
      else
        "${name}=${escapeShellArg value}"
    );

  makeSearchPath =
    subDir: paths:
    concatStringsSep ":" (map (path: path + "/" + subDir) (builtins.filter (x: x != null) paths));
  makeSearchPathOutput =
    output: subDir: pkgs:
    makeSearchPath subDir (map (lib.getOutput output) pkgs);
  makeLibraryPath = pkgs: makeSearchPath "lib" (map lib.getLib pkgs);
  makeBinPath = makeSearchPathOutput "bin" "bin";

  cmakeOptionType =
    let
      types = [
        "BOOL"
        "FILEPATH"
        "PATH"
        "STRING"
        "INTERNAL"
        "LIST"
      ];
    in
    type: feature: value:
    assert builtins.elem (lib.toUpper type) types;
    assert builtins.isString feature;
    assert builtins.isString value;
    "-D${feature}:${lib.toUpper type}=${value}";
  cmakeBool =
    feature: flag:
    assert builtins.isBool flag;
    cmakeOptionType "bool" feature (lib.toUpper (lib.boolToString flag));
  cmakeFeature = cmakeOptionType "string";

  # Keeps the characters that a store path's name may have; never empty.
  sanitizeDerivationName =
    string:
    let
      clean = lib.pipe (builtins.unsafeDiscardStringContext (toString string)) [
        (s: builtins.elemAt (match "\\.*(.*)" s) 0)
        (builtins.split "[^[:alnum:]+._?=-]+")
        (lib.concatMapStrings (s: if builtins.isList s then "-" else s))
        (s: substring (lib.max (builtins.stringLength s - 207) 0) (-1) s)
        (s: if s == "" then "unknown" else s)
      ];
    in
    clean;
}
