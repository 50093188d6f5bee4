# Types that contain other types.
{ lib }:
let
  inherit (builtins)
    filter
    head
    isAttrs
    isList
    length
    mapAttrs
    tail
    zipAttrsWith
    ;
  inherit (lib) showFiles showOption;
  inherit (lib.types)
    asElement
    defaultFunctor
    elemFunctor
    mkOptionType
    optionDescriptionPhrase
    ;
in
rec {
  listOf =
    elemType:
    mkOptionType {
      name = "listOf";
      description = "list of ${asElement elemType}";
      descriptionClass = "composite";
      check = isList;
      merge =
        loc: defs:
        map (x: x.value) (
          filter (x: x ? value) (
            builtins.concatLists (
              lib.imap1 (
                n: def:
                lib.imap1 (
                  m: value:
                  (lib.mergeDefinitions (loc ++ [ "[definition ${toString n}-entry ${toString m}]" ]) elemType [
                    {
                      inherit (def) file;
                      inherit value;
                    }
                  ]).optionalValue
                ) def.value
              ) defs
            )
          )
        );
      emptyValue.value = [ ];
      getSubOptions = prefix: elemType.getSubOptions (prefix ++ [ "*" ]);
      inherit (elemType) getSubModules;
      substSubModules = m: listOf (elemType.substSubModules m);
      functor = elemFunctor "listOf" listOf elemType;
      nestedTypes.elemType = elemType;
    };
  nonEmptyListOf =
    elemType:
    let
      list = lib.types.addCheck (listOf elemType) (l: l != [ ]);
    in
    list
    // {
      description = "non-empty ${optionDescriptionPhrase (class: class == "noun") list}";
      emptyValue = { };
      substSubModules = m: nonEmptyListOf (elemType.substSubModules m);
    };

  attrsOf = elemType: attrsWith { inherit elemType; };
  # Attribute names do not depend on conditions; using an undefined value is an error.
  lazyAttrsOf =
    elemType:
    attrsWith {
      inherit elemType;
      lazy = true;
    };
  attrsWith =
    {
      elemType,
      lazy ? false,
      placeholder ? "name",
    }@args:
    let
      typeName = if lazy then "lazyAttrsOf" else "attrsOf";
    in
    mkOptionType {
      name = typeName;
      description =
        (if lazy then "lazy attribute set" else "attribute set") + " of ${asElement elemType}";
      descriptionClass = "composite";
      check = isAttrs;
      merge =
        loc: defs:
        let
          evaluated = zipAttrsWith (name: lib.mergeDefinitions (loc ++ [ name ]) elemType) (
            map (
              def:
              mapAttrs (_: value: {
                inherit (def) file;
                inherit value;
              }) def.value
            ) defs
          );
        in
        if lazy then
          mapAttrs (_: v: v.optionalValue.value or elemType.emptyValue.value or v.mergedValue) evaluated
        else
          mapAttrs (_: v: v.optionalValue.value) (lib.filterAttrs (_: v: v.isDefined) evaluated);
      emptyValue.value = { };
      getSubOptions = prefix: elemType.getSubOptions (prefix ++ [ "<${placeholder}>" ]);
      inherit (elemType) getSubModules;
      substSubModules = m: attrsWith (args // { elemType = elemType.substSubModules m; });
      functor =
        elemFunctor "attrsWith" (elemType: attrsWith (args // { inherit elemType; })) elemType
        // {
          payload = {
            inherit elemType lazy placeholder;
          };
          type = attrsWith;
          binOp =
            a: b:
            let
              merged = a.elemType.typeMerge b.elemType.functor;
            in
            if merged == null || a.lazy != b.lazy then null else a // { elemType = merged; };
        };
      nestedTypes.elemType = elemType;
    };

  uniq = unique { message = ""; };
  unique =
    { message }:
    type:
    mkOptionType {
      name = "unique";
      inherit (type)
        description
        descriptionClass
        check
        emptyValue
        getSubOptions
        getSubModules
        ;
      merge = lib.mergeUniqueOption {
        inherit message;
        inherit (type) merge;
      };
      substSubModules = m: uniq (type.substSubModules m);
      functor = elemFunctor "unique" (unique { inherit message; }) type;
      nestedTypes.elemType = type;
    };

  nullOr =
    elemType:
    mkOptionType {
      name = "nullOr";
      description = "null or ${
        optionDescriptionPhrase (class: class == "noun" || class == "conjunction") elemType
      }";
      descriptionClass = "conjunction";
      check = x: x == null || elemType.check x;
      merge =
        loc: defs:
        let
          nulls = lib.count (def: def.value == null) defs;
        in
        if nulls == 0 then
          elemType.merge loc defs
        else if nulls == length defs then
          null
        else
          throw "The option `${showOption loc}` is defined both null and not null, in ${showFiles (lib.getFiles defs)}.";
      emptyValue.value = null;
      inherit (elemType) getSubOptions getSubModules;
      substSubModules = m: nullOr (elemType.substSubModules m);
      functor = elemFunctor "nullOr" nullOr elemType;
      nestedTypes.elemType = elemType;
    };

  functionTo =
    elemType:
    mkOptionType {
      name = "functionTo";
      description = "function that evaluates to a(n) ${asElement elemType}";
      descriptionClass = "composite";
      check = lib.isFunction;
      merge =
        loc: defs:
        lib.setFunctionArgs (
          args:
          (lib.mergeDefinitions (loc ++ [ "<function body>" ]) elemType (
            map (def: def // { value = def.value args; }) defs
          )).mergedValue
        ) (lib.foldAttrs (a: b: a && b) true (map (def: lib.functionArgs def.value) defs));
      getSubOptions = prefix: elemType.getSubOptions (prefix ++ [ "<function body>" ]);
      inherit (elemType) getSubModules;
      substSubModules = m: functionTo (elemType.substSubModules m);
      functor = elemFunctor "functionTo" functionTo elemType;
      nestedTypes.elemType = elemType;
    };

  either =
    t1: t2:
    mkOptionType {
      name = "either";
      description = "${
        optionDescriptionPhrase (class: class == "noun" || class == "conjunction") t1
      } or ${
        optionDescriptionPhrase (
          class: class == "noun" || class == "conjunction" || class == "composite"
        ) t2
      }";
      descriptionClass = "conjunction";
      check = x: t1.check x || t2.check x;
      merge =
        loc: defs:
        let
          values = lib.getValues defs;
        in
        if lib.all t1.check values then
          t1.merge loc defs
        else if lib.all t2.check values then
          t2.merge loc defs
        else
          lib.mergeOneOption loc defs;
      functor = defaultFunctor "either" // {
        payload.elemType = [
          t1
          t2
        ];
        type = payload: either (head payload.elemType) (builtins.elemAt payload.elemType 1);
        binOp =
          a: b:
          let
            m1 = (head a.elemType).typeMerge (head b.elemType).functor;
            m2 = (builtins.elemAt a.elemType 1).typeMerge (builtins.elemAt b.elemType 1).functor;
          in
          if m1 == null || m2 == null then
            null
          else
            {
              elemType = [
                m1
                m2
              ];
            };
      };
      nestedTypes = {
        left = t1;
        right = t2;
      };
    };
  oneOf =
    ts:
    if ts == [ ] then
      throw "types.oneOf needs to get at least one type in its argument"
    else
      lib.foldl' either (head ts) (tail ts);
  coercedTo =
    coercedType: coerceFunc: finalType:
    mkOptionType {
      name = "coercedTo";
      description = "${optionDescriptionPhrase (class: class == "noun") finalType} or ${
        optionDescriptionPhrase (class: class == "noun") coercedType
      } convertible to it";
      check = x: (coercedType.check x && finalType.check (coerceFunc x)) || finalType.check x;
      merge =
        loc: defs:
        finalType.merge loc (
          map (
            def: def // { value = if coercedType.check def.value then coerceFunc def.value else def.value; }
          ) defs
        );
      inherit (finalType) emptyValue getSubOptions getSubModules;
      substSubModules = m: coercedTo coercedType coerceFunc (finalType.substSubModules m);
      typeMerge = _: null;
      nestedTypes = {
        inherit coercedType finalType;
      };
    };

  # Any value. Sets are merged recursively; other values must be equal.
  anything = mkOptionType {
    name = "anything";
    description = "anything";
    descriptionClass = "noun";
    merge =
      loc: defs:
      let
        kind =
          value:
          if isAttrs value && lib.isStringLike value then "stringCoercibleSet" else builtins.typeOf value;
        kinds = lib.unique (map (def: kind def.value) defs);
        common =
          if length kinds == 1 then
            head kinds
          else
            throw "The option `${showOption loc}' has conflicting option types in ${showFiles (lib.getFiles defs)}";
      in
      if common == "set" then
        (lazyAttrsOf anything).merge loc defs
      else if common == "stringCoercibleSet" then
        lib.mergeOneOption loc defs
      else if common == "lambda" then
        x: anything.merge (loc ++ [ "<function body>" ]) (map (def: def // { value = def.value x; }) defs)
      else
        lib.mergeEqualOption loc defs;
  };
}
