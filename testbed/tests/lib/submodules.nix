# Options whose values are modules.
helpers:
with helpers;
let
  named = types.submodule (
    { name, config, ... }: {
      options.n = mkOption { default = name; };
      options.x = mkOption {
        type = types.int;
        default = 1;
      };
      options.y = mkOption { default = config.x + 1; };
    }
  );
in
{
  defaults = equal (value named [ { } ]) {
    n = "a";
    x = 1;
    y = 2;
  };
  merged =
    equal
      (value named [
        { x = 5; }
        { n = "z"; }
      ])
      {
        n = "z";
        x = 5;
        y = 6;
      };
  named =
    equal
      (lib.mapAttrs (_: v: v.n) (
        value (types.attrsOf named) [
          {
            one = { };
            two = { };
          }
        ]
      ))
      {
        one = "one";
        two = "two";
      };
  inList =
    equal
      (map (v: v.x) (
        value (types.listOf named) [
          [
            { x = 3; }
            { }
          ]
        ]
      ))
      [
        3
        1
      ];
  unknown = equal (fails (value named [ { z = 1; } ])) true;
  wrongType = equal (fails (value named [ { x = "s"; } ])) true;
  functionDefinition =
    equal (value named [ ({ config, ... }: { n = "f${toString config.x}"; }) ]).n
      "f1";
  shorthandKeepsConfigName = equal (value (types.submodule { options.config = mkOption { }; }) [
    { config = 3; }
  ]) { config = 3; };
  withModules = equal (value (types.submoduleWith {
    modules = [ { options.x = mkOption { default = 0; }; } ];
  }) [ { imports = [ { x = 2; } ]; } ]) { x = 2; };
  specialArgs =
    equal
      (value (types.submoduleWith {
        specialArgs.s = 9;
        modules = [ ({ s, ... }: { options.x = mkOption { default = s; }; }) ];
      }) [ { } ]).x
      9;
  freeform =
    equal
      (value
        (types.submodule {
          freeformType = types.attrsOf types.str;
          options.x = mkOption { default = 1; };
        })
        [
          { y = "z"; }
          { w = "v"; }
        ]
      )
      {
        x = 1;
        y = "z";
        w = "v";
      };
  priorities =
    equal
      (value (types.attrsOf named) [
        { k.x = lib.mkDefault 3; }
        { k.x = 4; }
      ]).k.x
      4;
  whole =
    equal
      (value named [
        (lib.mkDefault { x = 3; })
        { n = "w"; }
      ])
      {
        n = "w";
        x = 1;
        y = 2;
      };
  nullable =
    equal
      [
        (value (types.nullOr named) [ null ])
        (value (types.nullOr named) [ { } ]).x
      ]
      [ null 1 ];
  emptyHasDefaults =
    equal (lib.evalModules { modules = [ { options.a = mkOption { type = named; }; } ]; }).config.a.x
      1;
  parentConfig =
    equal
      (lib.evalModules {
        modules = [
          ({ config, ... }: {
            options.top = mkOption { default = 8; };
            options.a = mkOption {
              type = types.submodule { options.x = mkOption { default = config.top; }; };
              default = { };
            };
          })
        ];
      }).config.a.x
      8;
  subOptions = equal (builtins.attrNames (removeAttrs (named.getSubOptions [ "a" ]) [ "_module" ])) [
    "n"
    "x"
    "y"
  ];
  docs =
    equal
      (map (o: o.name) (
        lib.optionAttrSetToDocList (
          removeAttrs
            (lib.evalModules {
              modules = [
                {
                  options.a = mkOption {
                    type = types.attrsOf (
                      types.submodule {
                        options.x = mkOption {
                          type = types.int;
                          description = "x";
                        };
                      }
                    );
                    description = "a";
                  };
                }
              ];
            }).options
            [ "_module" ]
        )
      ))
      [
        "a"
        "a.<name>._module.args"
        "a.<name>._module.check"
        "a.<name>._module.freeformType"
        "a.<name>._module.specialArgs"
        "a.<name>.x"
      ];
  deferred =
    equal
      (
        let
          m = value types.deferredModule [
            { x = 2; }
            ({ lib, ... }: { y = 3; })
          ];
        in
        (lib.evalModules {
          modules = [
            m
            {
              options.x = mkOption { };
              options.y = mkOption { };
            }
          ];
        }).config
      )
      {
        x = 2;
        y = 3;
      };
  deferredStatic =
    equal
      (lib.evalModules {
        modules = [
          (value (types.deferredModuleWith {
            staticModules = [ { options.x = mkOption { default = 4; }; } ];
          }) [ { } ])
        ];
      }).config.x
      4;
  submoduleFromPath = equal (value (types.submodule { }) [ ../fixtures/module.nix ]).list [ "once" ];
  either =
    equal
      [
        (value (types.either types.int named) [ { x = 9; } ]).y
        (value (types.either types.int named) [ 3 ])
      ]
      [ 10 3 ];
}
