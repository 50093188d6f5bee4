# A small `lib` with the names and the documented behaviour of Nixpkgs' lib: the functions that
# llama.cpp's flakes, this project and a usual fleet call. testbed/tests run on this lib and on
# Nixpkgs'.
let
  inherit (import ./fixed-points.nix) makeExtensible;
  absent = import ./absent.nix;
in
makeExtensible (
  lib:
  let
    call = file: import file { inherit lib; };

    # Each is an attribute of `lib`. Its functions are attributes of `lib` as well, except those
    # that are `hidden` below.
    namespaces = {
      asserts = call ./asserts.nix;
      attrsets = call ./attrsets.nix;
      customisation = call ./customisation.nix;
      debug = import ./debug.nix;
      filesystem = call ./filesystem.nix;
      fixedPoints = import ./fixed-points.nix;
      lists = call ./lists.nix;
      meta = call ./meta.nix;
      modules = call ./modules;
      options = call ./options.nix;
      sources = call ./sources.nix;
      strings =
        call ./strings.nix
        // call ./strings-shell.nix
        // call ./strings-convert.nix
        // call ./strings-distance.nix;
      trivial = call ./trivial.nix;
    };
    # In Nixpkgs only in their namespace, so `lib.NAME` must fail here, too.
    hidden = {
      filesystem = [ "listFilesRecursive" ];
      lists = [ "replicate" ];
      meta = [
        "availableOn"
        "platformMatch"
      ];
      modules = [
        "applyModuleArgs"
        "collectModules"
        "defaultOrderPriority"
        "defaultOverridePriority"
        "disabledKey"
        "filterOverrides'"
        "importApply"
        "internalModule"
        "isDeclaration"
        "loadModule"
        "mkAliasAndWrapDefsWithPriority"
        "showDeclarations"
        "unknownOption"
        "wrapAsSubmodule"
      ];
      options = [
        "renderOptionValue"
        "showDefs"
      ];
      strings = [
        "escapeNixIdentifier"
        "escapeNixString"
        "floatToString"
        "keywords"
        "levenshtein"
        "levenshteinAtMost"
        "sanitizeDerivationName"
      ];
      trivial = [ "release" ];
    };
    reexported = builtins.mapAttrs (name: names: removeAttrs names (hidden.${name} or [ ])) namespaces;
    all = builtins.foldl' (all: names: all // names) { };
    others = {
      path.append = path: subpath: path + ("/" + subpath);
      versions = call ./versions.nix;
      generators = call ./generators.nix;
      types = call ./types;
      systems = call ./systems;
    };
    topLevelAbsent = removeAttrs absent.namespaces (builtins.attrNames others);
  in
  absent.topLevel
  // all (builtins.attrValues topLevelAbsent)
  // all (builtins.attrValues reexported)
  // builtins.mapAttrs (name: names: absent.namespaces.${name} or { } // names) (namespaces // others)
  // {
    inherit (builtins)
      add
      addErrorContext
      deepSeq
      isAttrs
      isBool
      isFloat
      isInt
      isPath
      lessThan
      pathExists
      readFile
      seq
      sub
      trace
      ;
    inherit (lib.types)
      defaultFunctor
      defaultTypeMerge
      isOptionType
      isType
      mkOptionType
      ;
    licenses = call ./licenses.nix;
    platforms = lib.systems.doubles;
    maintainers = call ./maintainers.nix;
    teams = { };

    fakeHash = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    fakeSha256 = "0000000000000000000000000000000000000000000000000000000000000000";
  }
)
