# Modules for renamed, removed and aliased options.
{ lib }:
let
  inherit (lib)
    attrByPath
    getAttrFromPath
    mkIf
    mkMerge
    mkOption
    setAttrByPath
    showOption
    types
    ;
in
rec {
  mkAliasDefinitions = option: mkIf (option.isDefined or false) (mkMerge option.definitions);
  # As above, keeping the priority that the alias was defined with.
  mkAliasAndWrapDefsWithPriority =
    wrap: option:
    let
      prio = option.highestPrio or lib.modules.defaultOverridePriority;
    in
    mkIf (option.isDefined or false) (wrap (mkMerge (map (lib.mkOverride prio) option.definitions)));

  mkRemovedOptionModule =
    optionName: replacementInstructions:
    { options, ... }:
    {
      options = setAttrByPath optionName (mkOption {
        visible = false;
        apply =
          _:
          throw "The option `${showOption optionName}' can no longer be used since it's been removed. ${replacementInstructions}";
      });
      config.assertions =
        let
          opt = getAttrFromPath optionName options;
        in
        [
          {
            assertion = !opt.isDefined;
            message = ''
              The option definition `${showOption optionName}' in ${lib.showFiles opt.files} no longer has any effect; please remove it.
              ${replacementInstructions}
            '';
          }
        ];
    };
  mkRenamedOptionModule =
    from: to:
    doRename {
      inherit from to;
      visible = false;
      warn = true;
      use = lib.warn "Obsolete option `${showOption from}' is used. It was renamed to `${showOption to}'.";
    };
  mkAliasOptionModule =
    from: to:
    doRename {
      inherit from to;
      visible = true;
      warn = false;
      use = lib.id;
    };

  doRename =
    {
      from,
      to,
      visible,
      warn,
      use,
    }:
    { config, options, ... }:
    let
      fromOpt = getAttrFromPath from options;
      toType = (attrByPath to { } options).type or (types.submodule { });
      target = attrByPath to (abort "Renaming error: option `${showOption to}' does not exist.");
    in
    {
      options = setAttrByPath from (
        mkOption {
          inherit visible;
          description = "Alias of {option}`${showOption to}`.";
          apply = _: use (target config);
        }
        // lib.optionalAttrs (toType != null) { type = toType; }
      );
      config = mkMerge [
        (lib.optionalAttrs (options ? warnings) {
          warnings =
            lib.optional (warn && fromOpt.isDefined)
              "The option `${showOption from}' defined in ${lib.showFiles fromOpt.files} has been renamed to `${showOption to}'.";
        })
        (mkAliasAndWrapDefsWithPriority (setAttrByPath to) fromOpt)
      ];
    };
}
