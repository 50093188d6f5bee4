# mkIf, mkMerge, priorities and orders.
helpers:
with helpers;
let
  inherit (lib)
    mkAfter
    mkBefore
    mkDefault
    mkForce
    mkIf
    mkMerge
    mkOrder
    mkOverride
    ;
  withDefault =
    default: defs:
    (lib.evalModules {
      modules = [
        {
          options.a = mkOption {
            type = types.int;
            inherit default;
          };
        }
      ]
      ++ map (a: { inherit a; }) defs;
    }).config.a;
in
{
  conflicting = equal (fails (
    value types.int [
      1
      2
    ]
  )) true;
  agreeing = equal (value types.int [
    1
    1
  ]) 1;
  force = equal (value types.int [
    1
    (mkForce 2)
  ]) 2;
  default = equal (value types.int [
    (mkDefault 1)
    2
  ]) 2;
  optionDefaultIsWeakest =
    equal
      [
        (withDefault 0 [ (mkDefault 1) ])
        (withDefault 0 [ ])
        (withDefault 0 [ (mkIf false 1) ])
      ]
      [ 1 0 0 ];
  lowestNumberWins = equal (value types.int [
    (mkOverride 10 1)
    (mkForce 2)
    (mkOverride 900 3)
  ]) 1;
  forceTwice = equal (fails (
    value types.int [
      (mkForce 1)
      (mkForce 2)
    ]
  )) true;
  ifs =
    equal
      [
        (value types.int [
          (mkIf true 1)
          (mkIf false 2)
        ])
        (fails (value types.int [ (mkIf false 2) ]))
        (fails (value types.int [ (mkIf "yes" 2) ]))
      ]
      [ 1 true true ];
  ifInForce = equal (value types.int [
    1
    (mkIf true (mkForce 2))
  ]) 2;
  forceInIf = equal (value types.int [
    1
    (mkIf false (mkForce 2))
  ]) 1;
  merges =
    equal
      (value (types.listOf types.int) [
        (mkMerge [
          [ 1 ]
          (mkIf true [ 2 ])
          (mkIf false [ 3 ])
        ])
      ])
      [
        1
        2
      ];
  nestedMerge =
    equal
      (value (types.listOf types.int) [
        (mkIf true (mkMerge [
          [ 1 ]
          (mkMerge [ [ 2 ] ])
        ]))
      ])
      [
        1
        2
      ];
  orders =
    equal
      (value (types.listOf types.str) [
        (mkAfter [ "last" ])
        [ "mid" ]
        (mkBefore [ "first" ])
        (mkOrder 700 [ "second" ])
        (mkOrder 10 [ "zeroth" ])
      ])
      [
        "zeroth"
        "first"
        "second"
        "mid"
        "last"
      ];
  orderIsStable =
    equal
      (value (types.listOf types.int) [
        [ 1 ]
        (mkAfter [ 9 ])
        [ 2 ]
        (mkAfter [ 8 ])
      ])
      [
        2
        1
        8
        9
      ];
  forcedOrder =
    equal
      (value (types.listOf types.int) [
        [ 1 ]
        (mkForce (mkAfter [ 2 ]))
        (mkForce [ 3 ])
      ])
      [
        3
        2
      ];
  lines = equal (value types.lines [
    (mkAfter "z")
    "a"
  ]) "a\nz";
  forceOnSet =
    equal
      ((lib.evalModules {
        modules = [
          {
            options.a.x = mkOption { type = types.int; };
            options.a.y = mkOption { default = 0; };
          }
          {
            a.x = 1;
            a.y = 1;
          }
          { a = mkForce { x = 2; }; }
        ];
      }).config
      )
      {
        a = {
          x = 2;
          y = 1;
        };
      };
  ifOnSet = equal ((lib.evalModules {
    modules = [
      { options.a.x = mkOption { default = 0; }; }
      { a = mkIf false { x = 2; }; }
    ];
  }).config.a.x
  ) 0;
  ifIsLazy = equal ((lib.evalModules {
    modules = [
      {
        options.a = mkOption { default = 0; };
        options.b = mkOption { default = 1; };
      }
      ({ config, ... }: { a = mkIf (config.b == 1) config.b; })
    ];
  }).config.a
  ) 1;
  forceEmptyList = equal (value (types.listOf types.int) [
    [ 1 ]
    (mkForce [ ])
  ]) [ ];
  mergedDefaults =
    equal
      (value (types.listOf types.int) [
        (mkDefault [ 1 ])
        (mkDefault [ 2 ])
      ])
      [
        2
        1
      ];
  insideAttrs =
    equal
      (value (types.attrsOf types.int) [
        {
          x = 1;
          y = mkDefault 1;
        }
        {
          x = mkForce 2;
          y = 5;
        }
      ])
      {
        x = 2;
        y = 5;
      };
  conditionalName = equal (value (types.attrsOf types.int) [
    {
      x = mkIf false 1;
      y = 1;
    }
  ]) { y = 1; };
  insideList =
    equal
      (value (types.listOf types.int) [
        [
          1
          (mkIf false 2)
          (mkIf true 3)
        ]
      ])
      [
        1
        3
      ];
  insideNullOr = equal (value (types.nullOr types.int) [
    (mkDefault null)
    1
  ]) 1;
  functionsOfProperties =
    equal
      [
        (lib.modules.dischargeProperties (mkMerge [
          1
          (mkIf false 2)
        ]))
        (lib.modules.pushDownProperties (mkIf true { x = 1; }))
      ]
      [
        [ 1 ]
        [ { x = mkIf true 1; } ]
      ];
  mediaAndVirtualMachines =
    equal
      (map (o: o.priority) [
        (lib.mkImageMediaOverride 1)
        (mkForce 1)
        (lib.mkVMOverride 1)
      ])
      [
        60
        50
        10
      ];
  aliasDefinitions =
    equal
      (value (types.listOf types.int) [
        (lib.mkAliasDefinitions {
          isDefined = true;
          definitions = [
            [ 1 ]
            [ 2 ]
          ];
        })
        (lib.mkAliasDefinitions { isDefined = false; })
      ])
      [
        1
        2
      ];
}
