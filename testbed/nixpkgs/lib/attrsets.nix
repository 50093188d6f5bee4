# Attribute sets.
{ lib }:
let
  inherit (builtins)
    concatMap
    elemAt
    foldl'
    head
    isAttrs
    length
    ;
in
rec {
  inherit (builtins)
    attrNames
    attrValues
    catAttrs
    getAttr
    hasAttr
    intersectAttrs
    listToAttrs
    mapAttrs
    removeAttrs
    zipAttrsWith
    ;

  attrByPath =
    path: default: set:
    let
      depth = length path;
      go =
        n: s:
        if n == depth then
          s
        else if s ? ${elemAt path n} then
          go (n + 1) s.${elemAt path n}
        else
          default;
    in
    go 0 set;

  hasAttrByPath =
    path: set:
    let
      depth = length path;
      go = n: s: n == depth || (s ? ${elemAt path n} && go (n + 1) s.${elemAt path n});
    in
    go 0 set;

  setAttrByPath =
    path: value:
    let
      depth = length path;
      go = n: if n == depth then value else { ${elemAt path n} = go (n + 1); };
    in
    go 0;

  getAttrFromPath =
    path: attrByPath path (abort ("cannot find attribute '" + lib.concatStringsSep "." path + "'"));

  getAttrs = names: set: genAttrs names (name: set.${name});
  nameValuePair = name: value: { inherit name value; };
  genAttrs = names: f: listToAttrs (map (name: nameValuePair name (f name)) names);
  attrsToList = mapAttrsToList nameValuePair;
  mapAttrsToList = f: set: map (name: f name set.${name}) (attrNames set);
  mapAttrs' = f: set: listToAttrs (mapAttrsToList f set);
  concatMapAttrs = f: set: foldl' (a: b: a // b) { } (mapAttrsToList f set);
  filterAttrs =
    pred: set: removeAttrs set (builtins.filter (name: !pred name set.${name}) (attrNames set));
  foldlAttrs =
    f: init: set:
    foldl' (acc: name: f acc name set.${name}) init (attrNames set);
  foldAttrs =
    op: nul: list:
    zipAttrsWith (_: values: lib.foldr op nul values) list;

  collect =
    pred: attrs:
    if pred attrs then
      [ attrs ]
    else if isAttrs attrs then
      concatMap (collect pred) (builtins.attrValues attrs)
    else
      [ ];

  mapAttrsRecursive = mapAttrsRecursiveCond (_: true);
  mapAttrsRecursiveCond =
    cond: f: set:
    let
      go =
        path:
        mapAttrs (
          name: value:
          let
            here = path ++ [ name ];
          in
          if isAttrs value && cond value then go here value else f here value
        );
    in
    go [ ] set;

  mergeAttrsList = foldl' (a: b: a // b) { };

  recursiveUpdateUntil =
    pred: lhs: rhs:
    let
      go =
        path:
        zipAttrsWith (
          name: values:
          let
            here = path ++ [ name ];
          in
          if length values == 1 || pred here (elemAt values 1) (head values) then
            head values
          else
            go here values
        );
    in
    # The right-hand side is first, so that `head` takes it.
    go [ ] [ rhs lhs ];
  recursiveUpdate =
    lhs: rhs:
    recursiveUpdateUntil (
      _: l: r:
      !(isAttrs l && isAttrs r)
    ) lhs rhs;

  matchAttrs =
    pattern: attrs:
    assert isAttrs pattern;
    builtins.all (
      name:
      attrs ? ${name}
      && (
        if isAttrs pattern.${name} then
          isAttrs attrs.${name} && matchAttrs pattern.${name} attrs.${name}
        else
          pattern.${name} == attrs.${name}
      )
    ) (attrNames pattern);

  optionalAttrs = cond: set: if cond then set else { };
  isDerivation = value: value.type or null == "derivation";
  recurseIntoAttrs = attrs: attrs // { recurseForDerivations = true; };
  dontRecurseIntoAttrs = attrs: attrs // { recurseForDerivations = false; };
  showAttrPath =
    path:
    if path == [ ] then
      "<root attribute path>"
    else
      lib.concatMapStringsSep "." lib.strings.escapeNixIdentifier path;

  # A store path in the form of a derivation, for options of type `package`.
  toDerivation =
    path:
    let
      path' = builtins.storePath path;
    in
    {
      type = "derivation";
      name = lib.strings.sanitizeDerivationName (builtins.substring 33 (-1) (baseNameOf path'));
      outPath = path';
      outputs = [ "out" ];
      out = toDerivation path;
      outputName = "out";
    };

  getOutput =
    output: pkg:
    if !pkg ? outputSpecified || !pkg.outputSpecified then pkg.${output} or pkg.out or pkg else pkg;
  getFirstOutput =
    candidates: pkg:
    let
      outputs = builtins.filter (name: pkg ? ${name}) candidates;
    in
    if pkg.outputSpecified or false || outputs == [ ] then pkg else pkg.${head outputs};
  getBin = getOutput "bin";
  getLib = getFirstOutput [
    "lib"
    "out"
  ];
  getDev = getOutput "dev";
}
