# Options: declaration, merge functions, documentation.
{ lib }:
let
  inherit (builtins)
    all
    concatLists
    concatStringsSep
    foldl'
    head
    isAttrs
    isBool
    isInt
    isList
    isString
    length
    tail
    ;
  prioritySuggestion = ''
    Use `lib.mkForce value` or `lib.mkDefault value` to change the priority on any of these definitions.
  '';
in
rec {
  isOption = value: value._type or null == "option";
  mkOption =
    {
      default ? null,
      defaultText ? null,
      example ? null,
      description ? null,
      relatedPackages ? null,
      type ? null,
      apply ? null,
      internal ? null,
      visible ? null,
      readOnly ? null,
    }@attrs:
    attrs // { _type = "option"; };
  mkEnableOption =
    name:
    mkOption {
      default = false;
      example = true;
      description = "Whether to enable ${name}.";
      type = lib.types.bool;
    };
  mkPackageOption =
    pkgs: name:
    {
      nullable ? false,
      default ? name,
      example ? null,
      extraDescription ? "",
      pkgsText ? "pkgs",
    }:
    let
      name' = if isList name then lib.last name else name;
      default' = lib.toList default;
      defaultText = lib.showAttrPath default';
      defaultValue = lib.attrByPath default' (throw "${defaultText} cannot be found in ${pkgsText}") pkgs;
    in
    mkOption (
      {
        description =
          "The ${name'} package to use." + (if extraDescription == "" then "" else " ") + extraDescription;
        type = if nullable then lib.types.nullOr lib.types.package else lib.types.package;
      }
      // (
        if default != null then
          {
            default = defaultValue;
            defaultText = literalExpression "${pkgsText}.${defaultText}";
          }
        else
          lib.optionalAttrs nullable { default = null; }
      )
      // lib.optionalAttrs (example != null) {
        example = literalExpression (
          if isList example then "${pkgsText}.${lib.showAttrPath example}" else example
        );
      }
    );

  literalExpression =
    text:
    if !isString text then
      throw "literalExpression expects a string."
    else
      {
        _type = "literalExpression";
        inherit text;
      };
  literalMD =
    text:
    if !isString text then
      throw "literalMD expects a string."
    else
      {
        _type = "literalMD";
        inherit text;
      };

  getValues = map (def: def.value);
  getFiles = map (def: def.file);

  mergeDefaultOption =
    loc: defs:
    let
      list = getValues defs;
    in
    if length list == 1 then
      head list
    else if all lib.isFunction list then
      x: mergeDefaultOption loc (map (f: f x) list)
    else if all isList list then
      concatLists list
    else if all isAttrs list then
      foldl' lib.mergeAttrs { } list
    else if all isBool list then
      foldl' lib.or false list
    else if all isString list then
      lib.concatStrings list
    else if all isInt list && all (x: x == head list) list then
      head list
    else
      throw "Cannot merge definitions of `${showOption loc}'. Definition values:${showDefs defs}";
  mergeOneOption = mergeUniqueOption { message = ""; };
  mergeUniqueOption =
    {
      message,
      merge ? _loc: defs: (head defs).value,
    }:
    loc: defs:
    if length defs == 1 then
      merge loc defs
    else
      throw "The option `${showOption loc}' is defined multiple times while it's expected to be unique.\n${message}\nDefinition values:${showDefs defs}\n${prioritySuggestion}";
  mergeEqualOption =
    loc: defs:
    let
      agree =
        first: def:
        if def.value != first.value then
          throw "The option `${showOption loc}' has conflicting definition values:${
            showDefs [
              first
              def
            ]
          }\n${prioritySuggestion}"
        else
          first;
    in
    # A single definition is not compared: functions cannot be.
    if length defs == 1 then (head defs).value else (foldl' agree (head defs) (tail defs)).value;

  showOption =
    parts:
    let
      # `<name>` and `*` are placeholders and never quoted.
      isPlaceholder = part: part == "*" || builtins.match "<(.*)>" part != null;
    in
    lib.concatMapStringsSep "." (
      part: if isPlaceholder part then part else lib.strings.escapeNixIdentifier part
    ) parts;
  showFiles = lib.concatMapStringsSep " and " (f: "`${f}'");
  showDefs = lib.concatMapStrings (
    def:
    let
      pretty = builtins.tryEval (
        lib.generators.toPretty { } (
          lib.generators.withRecursion {
            depthLimit = 10;
            throwOnDepthLimit = false;
          } def.value
        )
      );
      lines = lib.splitString "\n" pretty.value;
      # Five lines are enough to recognise a value.
      shown = concatStringsSep "\n    " (lib.take 5 lines ++ lib.optional (length lines > 5) "...");
    in
    "\n- In `${def.file}'"
    + (
      if !pretty.success then
        ""
      else if length lines > 1 then
        ":\n    ${shown}"
      else
        ": ${shown}"
    )
  );
  unknownModule = "<unknown-file>";

  renderOptionValue =
    v:
    if v ? _type && v ? text then
      v
    else
      literalExpression (lib.generators.toPretty { multiline = true; } v);

  optionAttrSetToDocList = optionAttrSetToDocList' [ ];
  optionAttrSetToDocList' =
    _: options:
    lib.concatMap (
      opt:
      let
        name = showOption opt.loc;
        visible = opt.visible or true;
        entry = {
          inherit (opt) loc;
          inherit name visible;
          description = opt.description or null;
          declarations = lib.filter (file: file != unknownModule) opt.declarations;
          internal = opt.internal or false;
          readOnly = opt.readOnly or false;
          type = opt.type.description or "unspecified";
        }
        // lib.optionalAttrs (opt ? example) { example = renderOptionValue opt.example; }
        // lib.optionalAttrs (opt ? defaultText || opt ? default) {
          default = builtins.addErrorContext "while evaluating the default value of option `${name}`" (
            renderOptionValue (opt.defaultText or opt.default)
          );
        }
        // lib.optionalAttrs (opt ? relatedPackages && opt.relatedPackages != null) {
          inherit (opt) relatedPackages;
        };
        subOptions = optionAttrSetToDocList' opt.loc (opt.type.getSubOptions opt.loc);
        shown =
          if visible == "transparent" then
            false
          else if visible == "shallow" then
            true
          else
            visible;
        recursive = visible == true || visible == "transparent";
      in
      [ (entry // { visible = shown; }) ]
      ++ lib.optionals (recursive && opt ? type.getSubOptions) subOptions
    ) (lib.collect isOption options);
}
