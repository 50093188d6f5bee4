# Names of Nixpkgs' lib that this one lacks. Using one is an error that explains this, instead of
# "attribute missing". `topLevel` lists the names that are in no namespace here.
let
  words =
    text: builtins.filter (word: builtins.isString word && word != "") (builtins.split "[ \n]+" text);
  refuse =
    name:
    throw "the testbed's nixpkgs has no lib.${name}: add it to testbed/nixpkgs/lib with a test, or run without --testbed";
  absent =
    prefix: text:
    builtins.listToAttrs (
      map (name: {
        inherit name;
        value = refuse (prefix + name);
      }) (words text)
    );
in
{
  topLevel = absent "" ''
    cli derivations fetchers fileset gvariant kernel misc network stringsWithDeps
    fakeSha512 fullDepEntry genericClosure hydraJob lazyDerivation noDepEntry
    optionalDrvAttr packEntry stringAfter textClosureList textClosureMap warnOnInstantiate
  '';
  namespaces = builtins.mapAttrs (namespace: absent "${namespace}.") {
    asserts = "assertEachOneOf checkAssertWarn";
    attrsets = ''
      attrVals cartesianProduct chooseDevOutputs filterAttrsRecursive genAttrs' getInclude
      getMan getStatic longestValidPathPrefix mapAttrsToListRecursive
      mapAttrsToListRecursiveCond mapCartesianProduct overrideExisting
      updateManyAttrsByPath zipAttrs zipAttrsWithNames
    '';
    customisation = "callPackagesWith hydraJob makeScopeWithSplicing makeScopeWithSplicing'";
    debug = "runTests traceFnSeqN traceIf traceSeq traceSeqN traceValFn traceValSeqFn traceValSeqN";
    filesystem = "haskellPathsInDir locateDominatingFile packagesFromDirectoryRecursive pathIsRegularFile resolveDefaultNix";
    fixedPoints = "converge toExtension";
    generators = "mkDconfKeyValue mkLuaInline toDconfINI toDhall toGitINI toINIWithGlobalSection toLua toPlist toXML";
    lists = ''
      compareLists concatAttrValues crossLists dropEnd findFirstIndex findSingle fold
      foldl1 groupBy' ifilter0 listDfs mutuallyExclusive naturalSort replaceElemAt takeEnd
      toposort uniqueStrings zipLists
    '';
    meta = ''
      appendToName cpeFullVersionWithVendor dontDistribute getLicenseFromSpdxId
      getLicenseFromSpdxIdOr hiPrioSet licensesSpdx lowPrioSet setName updateName
    '';
    modules = ''
      filterOverrides fixMergeModules mkAliasAndWrapDefinitions mkAssert
      mkChangedOptionModule mkDefinition mkDerivedConfig mkFixStrictness
      mkMergedOptionModule mkRenamedOptionModuleWith
    '';
    options = ''
      literalCode mkSinkUndeclaredOptions scrubOptionValue showOptionWithDefLocs
    '';
    path = "hasPrefix hasStorePathPrefix removePrefix splitRoot subpath";
    sources = ''
      canCleanSource commitIdFromGitRepo pathHasContext pathIsGitRepo sourceByRegex
      sourceFilesBySuffices trace
    '';
    strings = ''
      charToInt commonPrefixLength commonSuffixLength concatImapStrings
      concatImapStringsSep concatMapAttrsStringSep enableFeature enableFeatureAs escapeC
      escapeURL escapeXML fixedWidthNumber fixedWidthString intersperse
      isConvertibleWithToString join makeIncludePath mesonBool mesonEnable mesonOption
      nameFromURL normalizePath replaceString splitStringBy stringAsChars toCamelCase
      toIntBase10 toSentenceCase toShellVars withFeature withFeatureAs
    '';
    systems = "architectures equals examples inspect parse";
    trivial = ''
      and bitAnd bitNot bitOr bitXor boolToYesNo ceil checkListOfEnum codeName compare
      concat defaultTo floor fromHexString inNixShell inPureEvalMode info
      isInOldestRelease mapNullable oldestSupportedRelease
      oldestSupportedReleaseIsAtLeast revisionWithDefault showWarnings
      splitByAndCompare toBaseDigits toHexString versionSuffix xor
    '';
    types = "attrTag boolByOr externalPath luaInline pathInStore pathWith record setType";
    versions = "pad";
  };
}
