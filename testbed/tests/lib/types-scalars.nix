# What each plain type takes, and how its definitions merge.
{ lib }:
let
  inherit (lib) mkOption types;
  equal = expr: expected: { inherit expr expected; };
  fails = value: !(builtins.tryEval (builtins.deepSeq value value)).success;
  value =
    type: defs:
    (lib.evalModules {
      modules = [ { options.a = mkOption { inherit type; }; } ] ++ map (a: { inherit a; }) defs;
    }).config.a;
  takes = type: map (x: !fails (value type [ x ]));
  drv = {
    type = "derivation";
    name = "d";
    outPath = "/nix/store/00000000000000000000000000000000-d";
  };
in
{
  bool =
    equal
      (takes types.bool [
        true
        "true"
        1
      ])
      [
        true
        false
        false
      ];
  boolByOr = equal (value types.boolByOr [
    false
    true
  ]) true;
  int =
    equal
      (takes types.int [
        1
        (-1)
        "1"
        1.5
      ])
      [
        true
        true
        false
        false
      ];
  ints =
    equal
      [
        (takes types.ints.positive [
          1
          0
        ])
        (takes types.ints.unsigned [
          0
          (-1)
        ])
        (takes types.ints.u8 [
          255
          256
          (-1)
        ])
        (takes types.ints.s8 [
          127
          (-128)
          128
        ])
        (takes types.port [
          65535
          65536
        ])
        (takes (types.ints.between 2 4) [
          1
          2
          4
          5
        ])
      ]
      [
        [
          true
          false
        ]
        [
          true
          false
        ]
        [
          true
          false
          false
        ]
        [
          true
          true
          false
        ]
        [
          true
          false
        ]
        [
          false
          true
          true
          false
        ]
      ];
  float =
    equal
      [
        (takes types.float [
          1.5
          1
        ])
        (takes types.number [
          1.5
          1
          "1"
        ])
        (takes types.numbers.positive [
          0.5
          0
        ])
      ]
      [
        [
          true
          false
        ]
        [
          true
          true
          false
        ]
        [
          true
          false
        ]
      ];
  str =
    equal
      [
        (takes types.str [
          "x"
          1
          /x
          drv
        ])
        (fails (
          value types.str [
            "a"
            "b"
          ]
        ))
      ]
      [
        [
          true
          false
          false
          false
        ]
        true
      ];
  strings =
    equal
      [
        (takes types.nonEmptyStr [
          "x"
          ""
          " "
        ])
        (takes types.singleLineStr [
          "x"
          "x\n"
          "x\ny"
        ])
        (value types.singleLineStr [ "x\n" ])
        (takes (types.strMatching "[0-9]+\\.[0-9]") [
          "7.5"
          "75"
        ])
        (value types.lines [
          "a"
          "b"
        ])
        (value types.commas [
          "a"
          "b"
        ])
        (value (types.separatedString ";") [
          "a"
          "b"
        ])
        (takes (types.passwdEntry types.str) [
          "a"
          "a:b"
        ])
      ]
      [
        [
          true
          false
          false
        ]
        [
          true
          true
          false
        ]
        "x"
        [
          true
          false
        ]
        "b\na"
        "b,a"
        "b;a"
        [
          true
          false
        ]
      ];
  enum =
    equal
      [
        (takes
          (types.enum [
            "a"
            1
          ])
          [
            "a"
            1
            "b"
          ]
        )
        (fails (
          value
            (types.enum [
              "a"
              "b"
            ])
            [
              "a"
              "b"
            ]
        ))
      ]
      [
        [
          true
          true
          false
        ]
        true
      ];
  path =
    equal
      [
        (takes types.path [
          /x
          "/x"
          "x"
          1
          drv
        ])
        (takes types.pathInStore [
          drv
          "/x"
          "/nix/store/00000000000000000000000000000000-d/x"
        ])
      ]
      [
        [
          true
          true
          false
          false
          true
        ]
        [
          true
          false
          true
        ]
      ];
  package =
    equal
      [
        (map types.package.check [
          drv
          "/x"
          1
        ])
        (value types.package [ drv ]).name
        (fails (
          value types.package [
            drv
            drv
          ]
        ))
      ]
      [
        [
          true
          false
          false
        ]
        "d"
        true
      ];
}
