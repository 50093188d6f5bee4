# Parses and replaces CMake flags.
{ lib }:
let
  # The name in a flag: `lib.cmakeBool` writes -DNAME:BOOL=TRUE, users write -DNAME=ON.
  nameOf =
    flag:
    let
      parts = builtins.match "-D([A-Za-z0-9_]+)(:[A-Z]+)?=.*" flag;
    in
    if parts == null then null else lib.head parts;
in
{
  inherit nameOf;

  # Variable -> value, as strings. If a variable is set twice, the last value counts.
  toAttrs =
    flags:
    lib.listToAttrs (
      map (flag: lib.nameValuePair (nameOf flag) (lib.last (builtins.match "[^=]*=(.*)" flag))) (
        lib.reverseList (lib.filter (flag: nameOf flag != null) (map toString flags))
      )
    );

  fromAttrs = lib.mapAttrsToList (
    name: value:
    if lib.isBool value then lib.cmakeBool name value else lib.cmakeFeature name (toString value)
  );

  # `flags` with the variables of `replacements` replaced. A second -D would take precedence too,
  # but would make the package's list of flags misleading.
  replace =
    flags: replacements:
    let
      replaced = lib.filter (name: name != null) (map nameOf replacements);
    in
    lib.filter (flag: !lib.elem (nameOf flag) replaced) flags ++ replacements;

  # The variables that a CMakeLists.txt declares. Options that this llama.cpp does not have are not
  # passed.
  declaredIn =
    file:
    let
      matches = lib.filter lib.isList (
        builtins.split "(option|set)[ ]*\\([ ]*([A-Z][A-Z0-9_]+)" (builtins.readFile file)
      );
    in
    lib.genAttrs (map lib.last matches) (_: true);
}
