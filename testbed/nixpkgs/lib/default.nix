# A small `lib` with the names and the documented behaviour of Nixpkgs' own.
# Everything here is written against the manual's description of a function and
# held to it by testbed/tests, which run on this lib and on the real one.
let
  inherit (import ./fixed-points.nix { lib = { }; }) makeExtensible;
in
makeExtensible (
  lib:
  let
    call = file: import file { inherit lib; };

    # Each of these is an attribute of `lib`, and so are its own attributes.
    namespaces = {
      trivial = call ./trivial.nix;
      fixedPoints = call ./fixed-points.nix;
      attrsets = call ./attrsets.nix;
      lists = call ./lists.nix;
      strings =
        call ./strings.nix
        // call ./strings-shell.nix
        // call ./strings-convert.nix
        // call ./strings-distance.nix;
      customisation = call ./customisation.nix;
      derivations = call ./derivations.nix;
      meta = call ./meta.nix;
      sources = call ./sources.nix;
      asserts = call ./asserts.nix;
      options = call ./options.nix;
      modules = call ./modules;
      debug = call ./debug.nix;
      filesystem = call ./filesystem.nix;
    };
    # Names that have another meaning outside their namespace, or none there.
    # Nixpkgs does not re-export these, so code that relied on it would break.
    hidden = {
      asserts = [
        "assertEachOneOf"
        "checkAssertWarn"
      ];
      attrsets = [
        "longestValidPathPrefix"
        "updateAt"
      ];
      filesystem = [ "listFilesRecursive" ];
      lists = [
        "findFirstIndex"
        "foldl1"
        "hasPrefix"
        "removePrefix"
      ];
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
        "commonPrefixLength"
        "commonSuffixLength"
        "escapeNixIdentifier"
        "escapeNixString"
        "floatToString"
        "isConvertibleWithToString"
        "keywords"
        "levenshtein"
        "levenshteinAtMost"
        "normalizePath"
        "replicate"
        "sanitizeDerivationName"
      ];
      trivial = [
        "codeName"
        "oldestSupportedRelease"
        "release"
        "revisionWithDefault"
        "versionSuffix"
      ];
    };
    reexported = builtins.mapAttrs (name: names: removeAttrs names (hidden.${name} or [ ])) namespaces;
  in
  builtins.foldl' (all: names: all // names) { } (builtins.attrValues reexported)
  // namespaces
  // {
    # Builtins that Nixpkgs re-exports and flakes reach through `lib`.
    inherit (builtins)
      add
      addErrorContext
      attrNames
      attrValues
      baseNameOf
      catAttrs
      compareVersions
      concatLists
      concatMap
      deepSeq
      dirOf
      div
      elem
      elemAt
      filter
      fromJSON
      fromTOML
      genericClosure
      genList
      getAttr
      getContext
      hasAttr
      hasContext
      hashFile
      hashString
      head
      intersectAttrs
      isAttrs
      isBool
      isFloat
      isInt
      isList
      isPath
      isString
      length
      lessThan
      listToAttrs
      map
      mapAttrs
      match
      mul
      parseDrvName
      partition
      pathExists
      placeholder
      readDir
      readFile
      removeAttrs
      replaceStrings
      seq
      split
      splitVersion
      stringLength
      sub
      substring
      tail
      toFile
      toJSON
      toString
      toXML
      trace
      tryEval
      typeOf
      unsafeDiscardStringContext
      unsafeGetAttrPos
      ;

    versions = call ./versions.nix;
    generators = call ./generators.nix;
    types = call ./types;
    licenses = call ./licenses.nix;
    platforms = call ./systems/platforms.nix;
    systems = call ./systems;
    maintainers = call ./maintainers.nix;
    teams = { };
    inherit (lib.types)
      defaultFunctor
      defaultTypeMerge
      isOptionType
      isType
      mkOptionType
      setType
      ;

    fakeHash = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    fakeSha256 = "0000000000000000000000000000000000000000000000000000000000000000";
  }
)
