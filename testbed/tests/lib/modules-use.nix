# evalModules: extension, classes, renamed options, documentation.
helpers:
with helpers;
let
  strings = {
    options.s = option (types.listOf types.str);
  };
in
{
  badAttributes = equal (fails
    (eval [
      {
        options.a = option types.int;
        a = 1;
      }
    ]).config.a
  ) true;
  notAModule =
    equal
      (map (m: fails (eval [ m ]).config) [
        [ { } ]
        { _type = "flake"; }
      ])
      [
        true
        true
      ];
  extendModules =
    equal
      (
        (eval [
          strings
          { s = [ "a" ]; }
        ]).extendModules
        { modules = [ { s = [ "b" ]; } ]; }
      ).config.s
      [
        "b"
        "a"
      ];
  extendModulesArg =
    equal
      (eval [
        {
          options.a = mkOption { default = 1; };
          options.b = mkOption { };
        }
        ({ extendModules, ... }: {
          b =
            (extendModules {
              modules = [
                {
                  a = 5;
                  b = lib.mkForce 0;
                }
              ];
            }).config.a;
        })
      ]).config.b
      5;
  evalType = equal (
    eval [
      {
        options.sub = option (eval [ { options.x = mkOption { default = 7; }; } ]).type;
        sub = { };
      }
    ]
    ? config
  ) true;
  classMatches =
    equal
      [
        (lib.evalModules {
          class = "nixos";
          modules = [
            {
              _class = "nixos";
              options.a = mkOption { default = 1; };
            }
          ];
        }).config.a
        (fails
          (lib.evalModules {
            class = "nixos";
            modules = [
              {
                _class = "homeManager";
                options.a = mkOption { default = 1; };
              }
            ];
          }).config.a
        )
      ]
      [ 1 true ];
  metaPassesThrough =
    equal
      (eval [
        { options.meta = option types.attrs; }
        { meta.x = 1; }
      ]).config.meta
      { x = 1; };
  mkIfAtTop =
    equal
      (eval [
        {
          options.a = mkOption { default = 0; };
          options.b = mkOption { default = 0; };
        }
        ({ config, ... }: { config = lib.mkIf (config.b == 1) { a = 1; }; })
        { b = 1; }
      ]).config.a
      1;
  mkMergeAtTop =
    equal
      (eval [
        {
          options.a = mkOption { default = 0; };
          config = lib.mkMerge [
            (lib.mkIf false { a = 1; })
            { a = 2; }
          ];
        }
      ]).config.a
      2;
  prefixInErrors =
    equal
      (lib.evalModules {
        prefix = [ "p" ];
        modules = [ { options.a = mkOption { default = 1; }; } ];
      }).options.a.loc
      [
        "p"
        "a"
      ];
  paths =
    equal
      (eval [
        ../fixtures/module.nix
        ../fixtures/module.nix
      ]).config.list
      [ "once" ];
  pathFiles = equal (map baseNameOf (eval [ ../fixtures/module.nix ]).options.list.declarations) [
    "module.nix"
  ];
  importApply =
    equal
      (
        let
          applied = lib.modules.importApply ../fixtures/applied.nix { start = 4; };
        in
        [
          (eval [ applied ]).config.count
          (map baseNameOf (eval [ applied ]).options.count.declarations)
        ]
      )
      [
        4
        [ "applied.nix" ]
      ];
  rename =
    equal
      (
        let
          e = eval [
            {
              options.warnings = option (types.listOf types.str);
              options.assertions = option (types.listOf types.unspecified);
              options.new = mkOption { default = 0; };
            }
            (lib.mkRenamedOptionModule [ "old" "x" ] [ "new" ])
            {
              _file = "here";
              old.x = 3;
            }
          ];
        in
        [
          e.config.new
          e.config.warnings
        ]
      )
      [
        3
        [ "The option `old.x' defined in `here' has been renamed to `new'." ]
      ];
  alias =
    equal
      (eval [
        { options.new = mkOption { default = 0; }; }
        (lib.mkAliasOptionModule [ "old" ] [ "new" ])
        {
          old = lib.mkForce 3;
          new = 4;
        }
      ]).config
      {
        old = 3;
        new = 3;
      };
  removed =
    equal
      (
        let
          e = eval [
            { options.assertions = option (types.listOf types.unspecified); }
            (lib.mkRemovedOptionModule [ "gone" ] "Use less.")
            {
              _file = "f";
              gone = 1;
            }
          ];
          a = lib.head e.config.assertions;
        in
        [
          a.assertion
          a.message
        ]
      )
      [
        false
        "The option definition `gone' in `f' no longer has any effect; please remove it.\nUse less.\n"
      ];
  enableOption =
    equal
      (
        let
          e = eval [ { options.e = lib.mkEnableOption "it"; } ];
        in
        [
          e.config.e
          e.options.e.description
        ]
      )
      [
        false
        "Whether to enable it."
      ];
  packageOption =
    equal
      (
        let
          pkgs.hello = {
            type = "derivation";
            name = "hello";
          };
          o = lib.mkPackageOption pkgs "hello" { extraDescription = "More."; };
          missing = lib.mkPackageOption pkgs "absent" { };
        in
        [
          o.default.name
          o.description
          o.defaultText.text
          (fails missing.default)
          (lib.mkPackageOption pkgs "hello" {
            default = null;
            nullable = true;
          }).default
        ]
      )
      [
        "hello"
        "The hello package to use. More."
        "pkgs.hello"
        true
        null
      ];
  docList =
    equal
      (map
        (
          o:
          removeAttrs o [
            "declarations"
            "loc"
          ]
        )
        (
          lib.optionAttrSetToDocList (
            removeAttrs
              (eval [
                {
                  options.a.b = mkOption {
                    type = types.int;
                    default = 1;
                    description = "d";
                  };
                  options.c = mkOption {
                    type = types.str;
                    example = "e";
                    internal = true;
                  };
                }
              ]).options
              [ "_module" ]
          )
        )
      )
      [
        {
          name = "a.b";
          description = "d";
          visible = true;
          internal = false;
          readOnly = false;
          type = "signed integer";
          default = {
            _type = "literalExpression";
            text = "1";
          };
        }
        {
          name = "c";
          description = null;
          visible = true;
          internal = true;
          readOnly = false;
          type = "string";
          example = {
            _type = "literalExpression";
            text = "\"e\"";
          };
        }
      ];
  showOption =
    equal
      (map lib.showOption [
        [
          "a"
          "b"
        ]
        [
          "a"
          "b.c"
        ]
        [
          "a"
          "*"
          "x"
        ]
        [
          "a"
          "<name>"
        ]
        [
          "a"
          "2x"
        ]
      ])
      [
        "a.b"
        "a.\"b.c\""
        "a.*.x"
        "a.<name>"
        "a.\"2x\""
      ];
}
