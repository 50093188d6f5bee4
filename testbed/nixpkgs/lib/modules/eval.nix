# `evalModules`: the fixed point of all modules.
{ lib }:
let
  inherit (builtins)
    addErrorContext
    attrNames
    head
    seq
    ;
in
rec {
  evalModules =
    evalArgs@{
      modules,
      prefix ? [ ],
      specialArgs ? { },
      class ? null,
    }:
    let
      internal = internalModule {
        inherit extendModules specialArgs;
        moduleType = type;
      };
      collected =
        lib.modules.collectModules class (specialArgs.modulesPath or "") (modules ++ [ internal ])
          (
            {
              inherit lib options specialArgs;
              _class = class;
              _prefix = prefix;
              config = addErrorContext "if you get an infinite recursion here, you probably reference `config` in `imports`. If you are trying to achieve a conditional import behavior dependent on `config`, consider importing unconditionally, and using `mkEnableOption` and `mkIf` to control its effect." config;
            }
            // specialArgs
          );
      merged = lib.mergeModules prefix (lib.reverseList collected);
      options = merged.matchedOptions;
      declared = lib.mapAttrsRecursiveCond (v: !lib.isOption v) (_: v: v.value) options;
      inherit (declared._module) freeformType;
      undeclared = map (def: {
        inherit (def) file;
        value = lib.setAttrByPath def.prefix def.value;
      }) merged.unmatchedDefns;
      config =
        if freeformType == null then
          declared
        else
          lib.recursiveUpdate (
            if undeclared == [ ] then { } else freeformType.merge prefix undeclared
          ) declared;

      checked = seq (
        if declared._module.check && freeformType == null && merged.unmatchedDefns != [ ] then
          throw (unknownOption prefix options (head merged.unmatchedDefns))
        else
          null
      );
      extendModules =
        extension@{
          modules ? [ ],
          specialArgs ? { },
          prefix ? [ ],
        }:
        evalModules (
          evalArgs
          // {
            modules = evalArgs.modules ++ modules;
            specialArgs = evalArgs.specialArgs or { } // specialArgs;
            prefix = extension.prefix or evalArgs.prefix or [ ];
          }
        );
      type = lib.types.submoduleWith { inherit modules specialArgs class; };
    in
    {
      _type = "configuration";
      options = checked options;
      config = checked (removeAttrs config [ "_module" ]);
      _module = checked config._module;
      inherit extendModules type class;
    };

  # The module that every evaluation imports.
  internalModule =
    {
      extendModules,
      moduleType,
      specialArgs,
    }:
    {
      _file = "lib/modules.nix";
      key = "lib/modules.nix";
      options._module = {
        args = lib.mkOption {
          # Lazy, because arguments often depend on each other through `config`.
          type = lib.types.lazyAttrsOf lib.types.raw;
          internal = true;
          description = "Additional arguments passed to each module.";
        };
        check = lib.mkOption {
          type = lib.types.bool;
          internal = true;
          default = true;
          description = "Whether a definition without a declaration is an error.";
        };
        freeformType = lib.mkOption {
          type = lib.types.nullOr lib.types.optionType;
          internal = true;
          default = null;
          description = "The type of definitions without a declaration, or null where they are errors.";
        };
        specialArgs = lib.mkOption {
          readOnly = true;
          internal = true;
          description = "Arguments given from outside, available to `imports`.";
        };
      };
      config._module = {
        args = { inherit extendModules moduleType; };
        inherit specialArgs;
      };
    };

  unknownOption =
    prefix: options: def:
    let
      path = prefix ++ def.prefix;
      parent = lib.init def.prefix;
      wrong = lib.last def.prefix;
      siblings = lib.subtractLists (lib.optional (parent == [ ]) "_module") (
        attrNames (lib.attrByPath parent { } options)
      );
      # The full edit distance is too slow for large sets.
      near =
        if builtins.length siblings < 100 then
          siblings
        else
          builtins.filter (lib.strings.levenshteinAtMost 2 wrong) siblings;
      shown = map (s: "`${lib.showOption (lib.init path ++ [ s ])}'") (
        lib.take 3 (lib.sortOn (lib.strings.levenshtein wrong) near)
      );
      suggestion =
        if shown == [ ] then
          ""
        else if builtins.length shown == 1 then
          "\n\nDid you mean ${head shown}?"
        else
          "\n\nDid you mean ${lib.concatStringsSep ", " (lib.init shown)} or ${lib.last shown}?";
      message = "The option `${lib.showOption path}' does not exist. Definition values:${lib.options.showDefs [ def ]}${suggestion}";
    in
    if attrNames options != [ "_module" ] then
      message
    else if prefix == [ ] then
      ''
        ${message}

        It seems as if you're trying to declare an option by placing it into `config' rather than `options'!
      ''
    else
      ''
        ${message}

        However there are no options defined in `${lib.showOption prefix}'. Are you sure you've
        declared your options properly? This can happen if you e.g. declared your options in `types.submodule'
        under `config' rather than `options'.
      '';
}
