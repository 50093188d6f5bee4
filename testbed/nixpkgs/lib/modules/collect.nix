# Loads modules: converts all forms of modules to a flat list of one form.
{ lib }:
let
  inherit (builtins)
    addErrorContext
    attrNames
    concatMap
    elem
    head
    isAttrs
    isList
    isPath
    isString
    mapAttrs
    ;
  structuralKeys = [
    "_class"
    "_file"
    "config"
    "disabledModules"
    "freeformType"
    "imports"
    "key"
    "meta"
    "options"
    "require"
  ];
in
rec {
  setDefaultModuleLocation = file: m: {
    _file = file;
    imports = [ m ];
  };
  importApply = file: args: setDefaultModuleLocation file (import file args);

  # Each module once (by key), with its imports and without disabled modules, in the order of
  # discovery.
  collectModules =
    class: modulesPath: modules: args:
    let
      load =
        parentFile: parentKey: n: m:
        let
          anonymous = "${parentKey}:anon-${toString n}";
          checked = loadModule args class parentFile anonymous m;
        in
        if checked._class != null && class != null && checked._class != class then
          throw ''
            The module `${checked._file}` (class: ${lib.strings.escapeNixString checked._class}) cannot be imported into a module evaluation that expects class ${lib.strings.escapeNixString class}.
          ''
        else
          {
            inherit (checked) key;
            module = checked;
          };
      closure = builtins.genericClosure {
        startSet = lib.imap1 (load lib.unknownModule "") modules;
        operator = { key, module }: lib.imap1 (load module._file key) module.imports;
      };
      disabled = concatMap (
        { module, ... }: map (disabledKey modulesPath module._file) module.disabledModules
      ) closure;
      # Only modules that are reachable without the disabled ones.
      kept = builtins.genericClosure {
        startSet = enabled (lib.imap1 (load lib.unknownModule "") modules);
        operator = { key, module }: enabled (lib.imap1 (load module._file key) module.imports);
      };
      enabled = builtins.filter (item: !elem item.key disabled);
    in
    map (item: item.module) (if disabled == [ ] then closure else kept);

  disabledKey =
    modulesPath: file: m:
    if isString m then
      if lib.hasPrefix "/" m then m else toString modulesPath + "/" + m
    else if isAttrs m && !m ? outPath then
      m.key
        or (throw "Module `${file}` contains a disabledModules item that is an attribute set, presumably a module, that does not have a `key` attribute.")
    else
      toString m;

  loadModule =
    args: class: fallbackFile: fallbackKey: m:
    if lib.isFunction m then
      unifyModuleSyntax fallbackFile fallbackKey (applyModuleArgs fallbackKey m args)
    else if isAttrs m then
      if m._type or "module" == "module" then
        unifyModuleSyntax fallbackFile fallbackKey m
      else if m._type == "if" || m._type == "override" then
        loadModule args class fallbackFile fallbackKey { config = m; }
      else
        throw (
          "Expected a module, but found a value of type ${lib.strings.escapeNixString m._type}"
          + lib.optionalString (
            fallbackFile != lib.unknownModule
          ) ", while trying to load a module into ${toString fallbackFile}"
          + "."
        )
    else if isList m then
      let
        defs = [
          {
            file = fallbackFile;
            value = m;
          }
        ];
      in
      throw "Module imports can't be nested lists. Perhaps you meant to remove one level of lists? Definitions: ${lib.options.showDefs defs}"
    else if isPath m || isString m || m ? outPath then
      unifyModuleSyntax (toString m) (toString m) (applyModuleArgsIfFunction (toString m) (import m) args)
    else
      throw "Expected a module, but found a value of type ${builtins.typeOf m}.";

  unifyModuleSyntax =
    file: key: m:
    let
      addMeta =
        config:
        if m ? meta then
          lib.mkMerge [
            config
            { inherit (m) meta; }
          ]
        else
          config;
      addFreeform =
        config:
        if m ? freeformType then
          lib.mkMerge [
            config
            { _module.freeformType = m.freeformType; }
          ]
        else
          config;
      unsupported = removeAttrs m structuralKeys;
      shared = {
        _file = toString (m._file or file);
        _class = m._class or null;
        key = toString (m.key or key);
        disabledModules = m.disabledModules or [ ];
      };
    in
    if m ? config || m ? options then
      if unsupported != { } then
        throw "Module `${key}' has an unsupported attribute `${head (attrNames unsupported)}'. This is caused by introducing a top-level `config' or `options' attribute. Add configuration attributes immediately on the top level instead, or move all of them (namely: ${toString (attrNames unsupported)}) into the explicit `config' attribute."
      else
        shared
        // {
          imports = m.imports or [ ];
          options = m.options or { };
          config = addFreeform (addMeta (m.config or { }));
        }
    else if !isAttrs m then
      throw "module ${file} (${key}) does not look like a module."
    else
      shared
      // {
        imports = m.require or [ ] ++ m.imports or [ ];
        options = { };
        # The shorthand: every other attribute is configuration.
        config = addFreeform (removeAttrs m (lib.subtractLists [ "meta" ] structuralKeys));
      };

  applyModuleArgsIfFunction =
    key: f: args:
    if lib.isFunction f then applyModuleArgs key f args else f;

  # Arguments are looked up lazily: an unknown name is an error only when it is used.
  applyModuleArgs =
    key: f: args:
    let
      context = name: ''while evaluating the module argument `${name}' in "${key}":'';
      named = mapAttrs (
        name: _: addErrorContext (context name) (args.${name} or args.config._module.args.${name})
      ) (lib.functionArgs f);
    in
    f (args // named);
}
