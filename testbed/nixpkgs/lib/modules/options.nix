# One option: merges its declarations and computes its value.
{ lib }:
let
  inherit (builtins)
    addErrorContext
    foldl'
    head
    length
    ;
  inherit (lib) showOption;
in
rec {
  mergeOptionDecls =
    loc: decls:
    let
      start = {
        inherit loc;
        declarations = [ ];
      };
      step =
        acc: decl:
        let
          opt = decl.options;
          both = k: acc ? ${k} && opt ? ${k};
          twice = throw "The option `${showOption loc}' in `${decl._file}' is already declared in ${lib.showFiles acc.declarations}.";
          mergedType = acc.type.typeMerge opt.type.functor;
          types =
            if !both "type" then
              { }
            else if mergedType == null then
              twice
            else
              { type = mergedType; };
        in
        if both "default" || both "example" || both "description" || both "apply" then
          twice
        else
          acc
          // opt
          // types
          // {
            declarations = acc.declarations ++ [ decl._file ];
            inherit loc;
          };
      merged = foldl' step start decls;
    in
    merged // { type = merged.type or lib.types.unspecified; };

  evalOptionValue =
    loc: opt: defs:
    let
      withDefault =
        if opt ? default then
          [
            {
              file = head opt.declarations;
              value = lib.mkOptionDefault opt.default;
            }
          ]
          ++ defs
        else
          defs;
      separately = map (
        def: def // { value = (lib.mergeDefinitions loc opt.type [ def ]).mergedValue; }
      ) withDefault;
      res =
        if opt.readOnly or false && length withDefault > 1 then
          throw "The option `${showOption loc}' is read-only, but it's set multiple times. Definition values:${lib.options.showDefs separately}"
        else
          lib.mergeDefinitions loc opt.type withDefault;
      value = if opt ? apply then opt.apply res.mergedValue else res.mergedValue;
      warnDeprecation =
        if opt.type.deprecationMessage or null == null then
          lib.id
        else
          lib.warn "The type `types.${opt.type.name}' of option `${showOption loc}' defined in ${lib.showFiles opt.declarations} is deprecated. ${opt.type.deprecationMessage}";
    in
    warnDeprecation opt
    // {
      value = addErrorContext "while evaluating the option `${showOption loc}':" value;
      inherit (res.defsFinal') highestPrio;
      definitions = map (def: def.value) res.defsFinal;
      files = map (def: def.file) res.defsFinal;
      definitionsWithLocations = res.defsFinal;
      inherit (res) isDefined;
      __toString = _: showOption loc;
    };
}
