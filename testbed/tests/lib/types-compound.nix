# Types that contain other types.
helpers: with helpers; {
  listOf =
    equal
      [
        (value (types.listOf types.int) [
          [ 1 ]
          [ 2 ]
        ])
        (accepts (types.listOf types.int) [
          [ "x" ]
          1
          [ ]
        ])
        (accepts (types.nonEmptyListOf types.int) [
          [ ]
          [ 1 ]
        ])
      ]
      [
        [
          2
          1
        ]
        "nny"
        "ny"
      ];
  attrsOf =
    equal
      [
        (value (types.attrsOf types.int) [
          { a = 1; }
          { b = 2; }
        ])
        (fails (
          value (types.attrsOf types.int) [
            { a = 1; }
            { a = 2; }
          ]
        ))
        (value (types.attrsOf (types.listOf types.int)) [
          { a = [ 1 ]; }
          { a = [ 2 ]; }
        ])
      ]
      [
        {
          a = 1;
          b = 2;
        }
        true
        {
          a = [
            2
            1
          ];
        }
      ];
  attrsOfIsStrictInNames = equal (
    value (types.attrsOf types.int) [ { a = lib.mkIf false 1; } ] ? a
  ) false;
  lazyAttrsOf =
    equal
      (
        let
          v = value (types.lazyAttrsOf types.int) [
            {
              a = lib.mkIf false 1;
              b = 2;
            }
          ];
        in
        [
          (v ? a)
          v.b
          (fails v.a)
          (value (types.lazyAttrsOf (types.nullOr types.int)) [ { a = lib.mkIf false 1; } ]).a
        ]
      )
      [
        true
        2
        true
        null
      ];
  nullOr =
    equal
      [
        (value (types.nullOr types.int) [ null ])
        (value (types.nullOr types.int) [
          1
          1
        ])
        (fails (
          value (types.nullOr types.int) [
            null
            1
          ]
        ))
      ]
      [ null 1 true ];
  either =
    equal
      [
        (accepts (types.either types.int types.str) [
          1
          "x"
          [ ]
        ])
        (value (types.either (types.listOf types.int) types.str) [
          [ 1 ]
          [ 2 ]
        ])
        (fails (
          value (types.either types.int types.str) [
            1
            "x"
          ]
        ))
        (accepts
          (types.oneOf [
            types.int
            types.str
            types.bool
          ])
          [
            1
            "x"
            true
            1.5
          ]
        )
      ]
      [
        "yyn"
        [
          2
          1
        ]
        true
        "yyyn"
      ];
  stringOrList =
    equal
      (map
        (
          x:
          value (types.coercedTo types.str lib.singleton (
            types.listOf (
              types.enum [
                "cpu"
                "cuda"
              ]
            )
          )) [ x ]
        )
        [
          "cpu"
          [
            "cuda"
            "cpu"
          ]
        ]
      )
      [
        [ "cpu" ]
        [
          "cuda"
          "cpu"
        ]
      ];
  coercedMerges =
    equal
      (value (types.coercedTo types.int toString (types.listOf types.str)) [
        [ "a" ]
        [ "b" ]
      ])
      [
        "b"
        "a"
      ];
  coercedTo = equal (value (types.coercedTo types.int toString types.str) [ 1 ]) "1";
  anything =
    equal
      [
        (value types.anything [
          { a.b = 1; }
          { a.c = [ 2 ]; }
        ])
        (value types.anything [
          1
          1
        ])
        (fails (
          value types.anything [
            1
            2
          ]
        ))
        (value types.anything [
          [ 1 ]
          [ 1 ]
        ])
        (fails (
          value types.anything [
            [ 1 ]
            [ 2 ]
          ]
        ))
        (fails (
          value types.anything [
            1
            "x"
          ]
        ))
        (value types.anything [
          { a = lib.mkForce 1; }
          { a = 2; }
        ])
        (
          (value types.anything [
            (x: { a = x; })
            (x: { b = x; })
          ])
          1
        )
      ]
      [
        {
          a = {
            b = 1;
            c = [ 2 ];
          };
        }
        1
        true
        [ 1 ]
        true
        true
        { a = 1; }
        {
          a = 1;
          b = 1;
        }
      ];
  raw =
    equal
      [
        (value types.raw [ { a = lib.mkForce 1; } ]).a._type
        (fails (
          value types.raw [
            1
            1
          ]
        ))
      ]
      [ "override" true ];
  unspecified =
    equal
      [
        (value types.unspecified [
          [ 1 ]
          [ 2 ]
        ])
        (value types.unspecified [
          { a = 1; }
          { b = 2; }
        ])
        (value types.unspecified [
          "a"
          "b"
        ])
      ]
      [
        [
          2
          1
        ]
        {
          a = 1;
          b = 2;
        }
        "ba"
      ];
  attrs = equal (value types.attrs [
    { a.b = 1; }
    { a.c = 2; }
  ]) { a.b = 1; };
  functionTo =
    equal
      [
        (
          (value (types.functionTo (types.listOf types.int)) [
            (x: [ x ])
            (x: [ (x + 1) ])
          ])
          1
        )
        (accepts (types.functionTo types.int) [ 1 ])
      ]
      [
        [
          2
          1
        ]
        "n"
      ];
  uniq =
    equal
      [
        (value (types.uniq (types.listOf types.int)) [ [ 1 ] ])
        (fails (
          value (types.uniq (types.listOf types.int)) [
            [ 1 ]
            [ 2 ]
          ]
        ))
        (fails (
          value (types.unique { message = "m"; } types.int) [
            1
            1
          ]
        ))
      ]
      [
        [ 1 ]
        true
        true
      ];
  addCheck = equal (accepts (types.addCheck types.int (x: x > 3)) [
    4
    3
    "x"
  ]) "ynn";
  optionType =
    equal
      [
        (value types.optionType [ types.int ]).name
        (fails (value types.optionType [ 1 ]))
      ]
      [ "int" true ];
}
