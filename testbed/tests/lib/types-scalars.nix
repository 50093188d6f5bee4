# The values that each plain type accepts, and how its definitions merge.
helpers:
with helpers;
let
  drv = {
    type = "derivation";
    name = "d";
    outPath = "/nix/store/00000000000000000000000000000000-d";
  };
in
{
  bool = equal (accepts types.bool [
    true
    "true"
    1
  ]) "ynn";
  int = equal (accepts types.int [
    1
    (-1)
    "1"
    1.5
  ]) "yynn";
  ints =
    equal
      [
        (accepts types.ints.positive [
          1
          0
        ])
        (accepts types.ints.unsigned [
          0
          (-1)
        ])
        (accepts types.ints.u8 [
          255
          256
          (-1)
        ])
        (accepts types.ints.s8 [
          127
          (-128)
          128
        ])
        (accepts types.port [
          65535
          65536
        ])
        (accepts (types.ints.between 2 4) [
          1
          2
          4
          5
        ])
      ]
      [
        "yn"
        "yn"
        "ynn"
        "yyn"
        "yn"
        "nyyn"
      ];
  float =
    equal
      [
        (accepts types.float [
          1.5
          1
        ])
        (accepts types.number [
          1.5
          1
          "1"
        ])
        (accepts types.numbers.positive [
          0.5
          0
        ])
      ]
      [
        "yn"
        "yyn"
        "yn"
      ];
  str =
    equal
      [
        (accepts types.str [
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
        "ynnn"
        true
      ];
  strings =
    equal
      [
        (accepts types.nonEmptyStr [
          "x"
          ""
          " "
        ])
        (accepts types.singleLineStr [
          "x"
          "x\n"
          "x\ny"
        ])
        (value types.singleLineStr [ "x\n" ])
        (accepts (types.strMatching "[0-9]+\\.[0-9]") [
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
        (accepts (types.passwdEntry types.str) [
          "a"
          "a:b"
        ])
      ]
      [
        "ynn"
        "yyn"
        "x"
        "yn"
        "b\na"
        "b,a"
        "b;a"
        "yn"
      ];
  enum =
    equal
      [
        (accepts
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
        "yyn"
        true
      ];
  path =
    equal
      [
        (accepts types.path [
          /x
          "/x"
          "x"
          1
          drv
        ])

      ]
      [
        "yynny"
      ];
  package =
    equal
      [
        (accepts types.package [
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
        "ynn"
        "d"
        true
      ];
}
