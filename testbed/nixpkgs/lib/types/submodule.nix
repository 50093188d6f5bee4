# Types whose values are module evaluations.
{ lib }:
let
  inherit (builtins) isAttrs;
  inherit (lib) last mkForce mkOptionDefault;
  inherit (lib.types) mkOptionType path;

  # Documentation is generated without the values of most options.
  uncheckedForDocs = {
    _file = "<built-in module that disables checks for the purpose of documentation generation>";
    config._module.check = mkForce false;
  };
in
rec {
  submodule =
    modules:
    submoduleWith {
      shorthandOnlyDefinesConfig = true;
      modules = lib.toList modules;
    };

  submoduleWith =
    {
      modules,
      specialArgs ? { },
      shorthandOnlyDefinesConfig ? false,
      description ? null,
      class ? null,
    }@attrs:
    let
      asModules = map (
        { file, value }:
        if
          isAttrs value && (if shorthandOnlyDefinesConfig == null then false else shorthandOnlyDefinesConfig)
        then
          {
            _file = file;
            config = value;
          }
        else
          lib.setDefaultModuleLocation file value
      );
      base = lib.evalModules {
        inherit class specialArgs;
        modules = [
          # `attrsOf` sets the name.
          { _module.args.name = mkOptionDefault "‹name›"; }
        ]
        ++ modules;
      };
      inherit (base._module) freeformType;
    in
    mkOptionType {
      name = "submodule";
      description = if description != null then description else freeformType.description or "submodule";
      check = x: isAttrs x || lib.isFunction x || path.check x;
      merge =
        loc: defs:
        (base.extendModules {
          modules = [
            { _module.args.name = last loc; }
          ]
          ++ asModules (map (d: { inherit (d) file value; }) defs);
          prefix = loc;
        }).config;
      emptyValue.value = base.config;
      getSubOptions =
        prefix:
        let
          docs = base.extendModules {
            inherit prefix;
            modules = [ uncheckedForDocs ];
          };
        in
        docs.options
        // lib.optionalAttrs (freeformType != null) {
          # Under a separate name: it documents every undeclared option.
          _freeformOptions = freeformType.getSubOptions prefix;
        };
      getSubModules = modules;
      substSubModules = m: submoduleWith (attrs // { modules = m; });
      functor = lib.types.defaultFunctor "submoduleWith" // {
        type = submoduleWith;
        payload = {
          inherit
            modules
            class
            specialArgs
            shorthandOnlyDefinesConfig
            description
            ;
        };
        binOp = a: b: {
          class =
            if a.class == null then
              b.class
            else if b.class == null || a.class == b.class then
              a.class
            else
              throw "A submoduleWith option is declared multiple times with conflicting class values \"${toString a.class}\" and \"${toString b.class}\".";
          modules = a.modules ++ b.modules;
          specialArgs =
            let
              both = builtins.attrNames (builtins.intersectAttrs a.specialArgs b.specialArgs);
            in
            if both == [ ] then
              a.specialArgs // b.specialArgs
            else
              throw "A submoduleWith option is declared multiple times with the same specialArgs \"${toString both}\"";
          shorthandOnlyDefinesConfig =
            if a.shorthandOnlyDefinesConfig == null then
              b.shorthandOnlyDefinesConfig
            else if
              b.shorthandOnlyDefinesConfig == null || a.shorthandOnlyDefinesConfig == b.shorthandOnlyDefinesConfig
            then
              a.shorthandOnlyDefinesConfig
            else
              throw "A submoduleWith option is declared multiple times with conflicting shorthandOnlyDefinesConfig values";
          description =
            if a.description == null then
              b.description
            else if b.description == null || a.description == b.description then
              a.description
            else
              throw "A submoduleWith option is declared multiple times with conflicting descriptions";
        };
      };
    };

  # A module as a value: its definitions are merged for a later evaluation.
  deferredModule = deferredModuleWith { };
  deferredModuleWith =
    {
      staticModules ? [ ],
    }:
    mkOptionType {
      name = "deferredModule";
      description = "module";
      descriptionClass = "noun";
      check = x: isAttrs x || lib.isFunction x || path.check x;
      merge = loc: defs: {
        imports =
          staticModules
          ++ map (
            def: lib.setDefaultModuleLocation "${def.file}, via option ${lib.showOption loc}" def.value
          ) defs;
      };
      inherit (submoduleWith { modules = staticModules; }) getSubOptions getSubModules;
      substSubModules = m: deferredModuleWith { staticModules = m; };
      functor = lib.types.defaultFunctor "deferredModuleWith" // {
        type = deferredModuleWith;
        payload = {
          inherit staticModules;
        };
        binOp = a: b: { staticModules = lib.unique (a.staticModules ++ b.staticModules); };
      };
    };
}
