# `mkOptionType`, and how the types of two declarations are merged.
{ lib }:
rec {
  isType = type: x: (x._type or "") == type;
  isOptionType = isType "option-type";

  mkOptionType =
    {
      name,
      description ? null,
      # Whether the description needs parentheses inside another one.
      descriptionClass ? null,
      # Must not evaluate the content of a value, or options could not refer to each other.
      check ? (_: true),
      merge ? lib.mergeDefaultOption,
      # `{ value = …; }` if an option without a definition has a value.
      emptyValue ? { },
      getSubOptions ? _: { },
      getSubModules ? null,
      substSubModules ? _: null,
      typeMerge ? defaultTypeMerge functor,
      functor ? defaultFunctor name,
      deprecationMessage ? null,
      nestedTypes ? { },
    }:
    {
      _type = "option-type";
      inherit
        name
        check
        merge
        emptyValue
        getSubOptions
        getSubModules
        substSubModules
        typeMerge
        functor
        deprecationMessage
        nestedTypes
        descriptionClass
        ;
      description = if description == null then name else description;
    };

  defaultFunctor = name: {
    inherit name;
    type = lib.types.${name} or null;
    payload = null;
    binOp = _: _: null;
  };
  # For types with one element type: they merge if their element types do.
  elemFunctor =
    name: make: elemType:
    defaultFunctor name
    // {
      type = payload: make payload.elemType;
      payload = { inherit elemType; };
      binOp =
        a: b:
        let
          merged = a.elemType.typeMerge b.elemType.functor;
        in
        if merged == null then null else { elemType = merged; };
    };
  defaultTypeMerge =
    f: f':
    let
      payload = f.binOp f.payload f'.payload;
    in
    if f.name != f'.name then
      null
    else if f.payload == null then
      f.type
    else if payload == null then
      null
    else
      f.type payload;

  optionDescriptionPhrase =
    unparenthesize: t:
    if unparenthesize (t.descriptionClass or null) then t.description else "(${t.description})";
  asNoun = optionDescriptionPhrase (class: class == "noun");
  asElement = optionDescriptionPhrase (class: class == "noun" || class == "composite");

  addCheck = elemType: check: elemType // { check = x: elemType.check x && check x; };
}
