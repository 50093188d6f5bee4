# CMake flags as data: reads a flag's name, sets a value without passing it twice.
{ lib }:
let
  # `lib.cmakeBool` writes -DNAME:BOOL=TRUE, people write -DNAME=ON.
  nameOf =
    flag:
    let
      parts = builtins.match "-D([A-Za-z0-9_]+)(:[A-Z]+)?=.*" flag;
    in
    if parts == null then null else lib.head parts;
in
{
  inherit nameOf;

  # Variable -> value, as text. Of a variable that is set twice, the last value counts.
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

  # `flags`, without what `replacements` sets. A later -D would win anyway, but then a package's
  # list of flags would be misleading.
  replace =
    flags: replacements:
    let
      replaced = lib.filter (name: name != null) (map nameOf replacements);
    in
    lib.filter (flag: !lib.elem (nameOf flag) replaced) flags ++ replacements;

  # The variables that a CMakeLists.txt declares: an option that this llama.cpp does not have is
  # not passed.
  declaredIn =
    file:
    let
      matches = lib.filter lib.isList (
        builtins.split "(option|set)[ ]*\\([ ]*([A-Z][A-Z0-9_]+)" (builtins.readFile file)
      );
    in
    lib.genAttrs (map lib.last matches) (_: true);
}
