# Merges the declarations and definitions of all modules by option path.
{ lib }:
let
  inherit (builtins)
    addErrorContext
    concatMap
    head
    isAttrs
    mapAttrs
    partition
    typeOf
    zipAttrsWith
    ;
  inherit (lib) showOption;
in
rec {
  mergeModules =
    prefix: modules:
    mergeModules' prefix modules (
      concatMap (
        m:
        map (config: {
          file = m._file;
          inherit config;
        }) (lib.pushDownProperties m.config)
      ) modules
    );

  mergeModules' =
    prefix: modules: configs:
    let
      declsByName = zipAttrsWith (_: lib.id) (
        map (
          module:
          if !isAttrs module.options then
            throw ''
              An option declaration for `${lib.concatStringsSep "." prefix}' has type
              `${typeOf module.options}' rather than an attribute set.
              Did you mean to define this outside of `options'?
            ''
          else
            mapAttrs (_: options: {
              inherit (module) _file;
              inherit options;
            }) module.options
        ) modules
      );
      byName =
        f:
        zipAttrsWith (_: builtins.concatLists) (
          map (
            c:
            if !isAttrs c.config then
              throw ''
                In module `${c.file}', you're trying to define a value of type `${typeOf c.config}'
                rather than an attribute set for the option
                `${lib.concatStringsSep "." prefix}'!

                This usually happens if `${lib.concatStringsSep "." prefix}' has option
                definitions inside that are not matched. Please check how to properly define
                this option by e.g. referring to `man 5 configuration.nix'!
              ''
            else
              mapAttrs (_: f c.file) c.config
          ) configs
        );
      # The first is for nested sets of options, the second for options.
      pushedByName = byName (
        file: value: map (config: { inherit file config; }) (lib.pushDownProperties value)
      );
      definitionsByName = byName (file: value: [ { inherit file value; } ]);

      results = mapAttrs (
        name: decls:
        let
          loc = prefix ++ [ name ];
          split = partition (m: isDeclaration loc m) decls;
          first = head split.right;
          leaf = optionDecls: {
            matchedOptions = lib.evalOptionValue loc (lib.mergeOptionDecls loc optionDecls) (
              definitionsByName.${name} or [ ]
            );
            unmatchedDefns = [ ];
          };
        in
        if split.wrong == [ ] then
          leaf decls
        else if split.right != [ ] then
          # Options below an option, which only a type with submodules allows.
          if
            lib.all (
              m: (m.options.type or null) ? getSubModules && m.options.type.getSubModules != null
            ) split.right
            || first.options.type.name or "" == "submodule"
          then
            leaf (map wrapAsSubmodule split.wrong ++ split.right)
          else
            throw "The option `${showOption loc}' in module `${first._file}' would be a parent of the following options, but its type `${
              first.options.type.description or "<no description>"
            }' does not support nested options.\n${showDeclarations loc split.wrong}"
        else
          mergeModules' loc decls (pushedByName.${name} or [ ])
      ) declsByName;

      undeclared = removeAttrs definitionsByName (builtins.attrNames declsByName);
    in
    {
      matchedOptions = mapAttrs (_: r: r.matchedOptions) results;
      # Each level prepends its name to the path.
      unmatchedDefns =
        concatMap (r: r.unmatchedDefns) (
          builtins.attrValues (
            mapAttrs (
              name: r:
              r // { unmatchedDefns = map (def: def // { prefix = [ name ] ++ def.prefix; }) r.unmatchedDefns; }
            ) results
          )
        )
        ++ builtins.concatLists (
          lib.mapAttrsToList (
            name: defs:
            map (def: {
              inherit (def) file value;
              prefix = [ name ];
            }) defs
          ) undeclared
        );
    };

  isDeclaration =
    loc: m:
    m.options ? _type
    && (
      m.options._type == "option"
      || throw "Expected an option declaration at option path `${showOption loc}` but got an attribute set with type ${m.options._type} in module `${m._file}`. Did you mean to wrap it in `mkOption { type = …; }`, or to put it under `config`?"
    );

  wrapAsSubmodule = m: {
    inherit (m) _file;
    options = lib.mkOption {
      type = lib.types.submoduleWith {
        modules = [
          {
            inherit (m) _file;
            inherit (m) options;
          }
        ];
        # Not set here, so that the declared option decides.
        shorthandOnlyDefinesConfig = null;
      };
    };
  };

  showDeclarations =
    loc: decls:
    lib.concatStringsSep "\n" (
      map (m: "- option(s) with prefix `${showOption loc}' in module `${m._file}'") decls
    );

  mergeDefinitions = loc: type: defs: rec {
    discharged = concatMap (
      m:
      map
        (value: {
          inherit (m) file;
          inherit value;
        })
        (addErrorContext "while evaluating definitions from `${m.file}':" (lib.dischargeProperties m.value))
    ) defs;
    filtered = lib.modules.filterOverrides' discharged;
    sorted =
      if lib.any (def: def.value._type or "" == "order") filtered.values then
        lib.sortProperties filtered.values
      else
        filtered.values;
    defsFinal' = {
      values = sorted;
      inherit (filtered) highestPrio;
    };
    defsFinal = sorted;
    isDefined = defsFinal != [ ];
    mergedValue =
      if isDefined then
        if lib.all (def: type.check def.value) defsFinal then
          type.merge loc defsFinal
        else
          throw "A definition for option `${showOption loc}' is not of type `${type.description}'. Definition values:${
            lib.options.showDefs (builtins.filter (def: !type.check def.value) defsFinal)
          }"
      else if type.emptyValue ? value then
        type.emptyValue.value
      else
        throw "The option `${showOption loc}' was accessed but has no value defined. Try setting the option.";
    optionalValue = if isDefined then { value = mergedValue; } else { };
  };
}
