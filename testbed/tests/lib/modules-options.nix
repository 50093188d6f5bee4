# evalModules: declared, defined and undefined options.
helpers: with helpers; {
  optionAttributes =
    equal
      (
        let
          o =
            (eval [
              {
                _file = "decl";
                options.a = mkOption {
                  type = types.int;
                  default = 1;
                  description = "d";
                };
              }
              {
                _file = "def";
                a = 2;
              }
            ]).options.a;
        in
        {
          inherit (o)
            value
            isDefined
            files
            definitions
            highestPrio
            loc
            declarations
            definitionsWithLocations
            ;
          text = "${o}";
        }
      )
      {
        value = 2;
        isDefined = true;
        files = [ "def" ];
        definitions = [ 2 ];
        highestPrio = 100;
        loc = [ "a" ];
        declarations = [ "decl" ];
        definitionsWithLocations = [
          {
            file = "def";
            value = 2;
          }
        ];
        text = "a";
      };
  defaultPriority =
    equal (eval [ { options.a = mkOption { default = 1; }; } ]).options.a.highestPrio
      1500;
  undefined =
    equal
      (
        let
          e = eval [ { options.a = option types.int; } ];
        in
        [
          e.options.a.isDefined
          (fails e.config.a)
        ]
      )
      [
        false
        true
      ];
  unknownOption = equal (fails
    (eval [
      { options.a = option types.int; }
      { b = 1; }
    ]).config.a
  ) true;
  unknownNestedOption = equal (fails
    (eval [
      { options.a.b = option types.int; }
      {
        a.c = 1;
        a.b = 1;
      }
    ]).config.a.b
  ) true;
  uncheckedUnknown =
    equal
      (eval [
        {
          options.a = option types.int;
          config._module.check = false;
        }
        {
          b = 1;
          a = 2;
        }
      ]).config
      { a = 2; };
  freeform =
    equal
      (eval [
        {
          freeformType = types.attrsOf types.int;
          options.a = option types.str;
        }
        {
          a = "x";
          b = 1;
        }
        { c = 2; }
      ]).config
      {
        a = "x";
        b = 1;
        c = 2;
      };
  freeformNested =
    equal
      (eval [
        {
          freeformType = types.attrsOf (types.attrsOf types.int);
          options.a.x = option types.int;
        }
        {
          a.x = 1;
          a.y = 2;
        }
      ]).config
      {
        a = {
          x = 1;
          y = 2;
        };
      };
  freeformChecks = equal (fails
    (eval [
      { freeformType = types.attrsOf types.int; }
      { b = "x"; }
    ]).config
  ) true;
  nestedDeclarations =
    equal
      (eval [
        { options.a.b = mkOption { default = 1; }; }
        { options.a.c = mkOption { default = 2; }; }
      ]).config
      {
        a = {
          b = 1;
          c = 2;
        };
      };
  declaredTwice = equal (fails
    (eval [
      { options.a = mkOption { default = 1; }; }
      { options.a = mkOption { default = 2; }; }
    ]).config.a
  ) true;
  declarationsMerge =
    equal
      (
        let
          e = eval [
            { options.a = option (types.enum [ "x" ]); }
            { options.a = option (types.enum [ "y" ]); }
            { options.a = mkOption { default = "y"; }; }
          ];
        in
        [
          e.config.a
          e.options.a.type.description
        ]
      )
      [
        "y"
        ''one of "y", "x"''
      ];
  declarationsClash = equal (fails
    (eval [
      { options.a = option types.int; }
      { options.a = option types.str; }
      { a = 1; }
    ]).config.a
  ) true;
  submoduleOptionExtended =
    equal
      (eval [
        {
          options.a = mkOption {
            type = types.submodule { options.x = mkOption { default = 1; }; };
            default = { };
          };
        }
        { options.a.y = mkOption { default = 2; }; }
      ]).config
      {
        a = {
          x = 1;
          y = 2;
        };
      };
  optionUnderOption = equal (fails
    (eval [
      { options.a = option types.int; }
      { options.a.b = option types.int; }
      { a = 1; }
    ]).config
  ) true;
  apply =
    equal
      (eval [
        {
          options.a = mkOption {
            type = types.int;
            apply = x: x * 2;
          };
        }
        { a = 4; }
      ]).config.a
      8;
  readOnly =
    equal
      [
        (eval [
          {
            options.a = mkOption {
              readOnly = true;
              default = 1;
            };
          }
        ]).config.a
        (eval [
          { options.a = mkOption { readOnly = true; }; }
          { a = 1; }
        ]).config.a
        (fails
          (eval [
            {
              options.a = mkOption {
                readOnly = true;
                default = 1;
              };
            }
            { a = 2; }
          ]).config.a
        )
        (fails
          (eval [
            {
              options.a = mkOption {
                type = types.int;
                readOnly = true;
              };
            }
            { a = 1; }
            { a = 1; }
          ]).config.a
        )
      ]
      [ 1 1 true true ];
}
