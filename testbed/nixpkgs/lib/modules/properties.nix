# Conditions, priorities and order of definitions.
{ lib }:
let
  inherit (builtins)
    concatMap
    filter
    foldl'
    isBool
    mapAttrs
    ;
in
rec {
  mkIf = condition: content: {
    _type = "if";
    inherit condition content;
  };
  mkMerge = contents: {
    _type = "merge";
    inherit contents;
  };

  # A lower number wins.
  mkOverride = priority: content: {
    _type = "override";
    inherit priority content;
  };
  mkOptionDefault = mkOverride 1500;
  mkDefault = mkOverride 1000;
  defaultOverridePriority = 100;
  mkImageMediaOverride = mkOverride 60;
  mkForce = mkOverride 50;
  mkVMOverride = mkOverride 10;

  mkOrder = priority: content: {
    _type = "order";
    inherit priority content;
  };
  mkBefore = mkOrder 500;
  defaultOrderPriority = 1000;
  mkAfter = mkOrder 1500;

  # `mkIf c { a = 1; }` becomes `{ a = mkIf c 1; }`, so that the set of options
  # that a module defines does not depend on `c`.
  pushDownProperties =
    cfg:
    let
      type = cfg._type or "";
    in
    if type == "merge" then
      concatMap pushDownProperties cfg.contents
    else if type == "if" then
      map (mapAttrs (_: mkIf cfg.condition)) (pushDownProperties cfg.content)
    else if type == "override" then
      map (mapAttrs (_: mkOverride cfg.priority)) (pushDownProperties cfg.content)
    else
      [ cfg ];

  # The definitions whose conditions hold.
  dischargeProperties =
    def:
    let
      type = def._type or "";
    in
    if type == "merge" then
      concatMap dischargeProperties def.contents
    else if type == "if" then
      if !isBool def.condition then
        throw "‘mkIf’ called with a non-Boolean condition"
      else if def.condition then
        dischargeProperties def.content
      else
        [ ]
    else
      [ def ];

  filterOverrides' =
    defs:
    let
      priority =
        def: if def.value._type or "" == "override" then def.value.priority else defaultOverridePriority;
      highestPrio = foldl' (prio: def: lib.min (priority def) prio) 9999 defs;
      strip =
        def: if def.value._type or "" == "override" then def // { value = def.value.content; } else def;
    in
    {
      values = map strip (filter (def: priority def == highestPrio) defs);
      inherit highestPrio;
    };

  sortProperties =
    defs:
    let
      strip =
        def:
        if def.value._type or "" == "order" then
          def
          // {
            value = def.value.content;
            inherit (def.value) priority;
          }
        else
          def;
      compare = a: b: (a.priority or defaultOrderPriority) < (b.priority or defaultOrderPriority);
    in
    lib.sort compare (map strip defs);
}
