# Lists: parts of them, sets, order.
{ lib }:
let
  equal = expr: expected: { inherit expr expected; };
  fails = value: !(builtins.tryEval value).success;
in
{
  compareLists =
    equal
      [
        (lib.compareLists lib.compare [ ] [ 1 ])
        (lib.compareLists lib.compare [ 1 2 ] [ 1 1 ])
        (lib.compareLists lib.compare [ 1 ] [ 1 ])
      ]
      [
        (-1)
        1
        0
      ];
  takes =
    equal
      [
        (lib.take 2 [
          1
          2
          3
        ])
        (lib.take 9 [ 1 ])
        (lib.drop 2 [
          1
          2
          3
        ])
        (lib.drop 9 [ 1 ])
        (lib.takeEnd 2 [
          1
          2
          3
        ])
        (lib.dropEnd 1 [
          1
          2
          3
        ])
        (lib.sublist 1 3 [
          1
          2
          3
        ])
        (lib.sublist 5 1 [ 1 ])
        (lib.last [
          1
          2
        ])
        (lib.init [
          1
          2
        ])
      ]
      [
        [
          1
          2
        ]
        [ 1 ]
        [ 3 ]
        [ ]
        [
          2
          3
        ]
        [
          1
          2
        ]
        [
          2
          3
        ]
        [ ]
        2
        [ 1 ]
      ];
  emptyEnds =
    equal
      [
        (fails (lib.last [ ]))
        (fails (lib.init [ ]))
      ]
      [ true true ];
  prefixes =
    equal
      [
        (lib.lists.hasPrefix [ 1 ] [ 1 2 ])
        (lib.lists.removePrefix [ 1 ] [ 1 2 ])
        (fails (lib.lists.removePrefix [ 2 ] [ 1 ]))
      ]
      [
        true
        [ 2 ]
        true
      ];
  sets =
    equal
      [
        (lib.unique [
          3
          2
          3
          4
        ])
        (lib.allUnique [
          1
          1
        ])
        (lib.intersectLists [ 1 2 3 ] [ 6 3 2 ])
        (lib.subtractLists [ 3 2 ] [ 1 2 3 4 5 3 ])
        (lib.mutuallyExclusive [ 1 ] [ 2 ])
      ]
      [
        [
          3
          2
          4
        ]
        false
        [
          3
          2
        ]
        [
          1
          4
          5
        ]
        true
      ];
  groupBy =
    equal
      [
        (lib.groupBy (x: if x > 2 then "big" else "small") [
          1
          3
        ])
        (lib.groupBy' (a: b: a + b) 0 (x: toString (x > 2)) [
          5
          3
          1
        ])
      ]
      [
        {
          big = [ 3 ];
          small = [ 1 ];
        }
        {
          "" = 1;
          "1" = 8;
        }
      ];
  partition =
    equal
      (lib.partition (x: x > 2) [
        5
        1
        3
      ])
      {
        right = [
          5
          3
        ];
        wrong = [ 1 ];
      };
  replicate = equal (lib.replicate 2 "a") [
    "a"
    "a"
  ];
  crossLists =
    equal
      (lib.mapCartesianProduct ({ a, b }: a + b) {
        a = [
          "1"
          "2"
        ];
        b = [
          "x"
          "y"
        ];
      })
      [
        "1x"
        "1y"
        "2x"
        "2y"
      ];
  toposort =
    equal
      [
        (lib.toposort (a: b: a < b) [
          3
          2
          1
        ])
        (lib.toposort lib.hasPrefix [
          "/home/user/other"
          "/"
          "/bin"
          "/home"
          "/home/user"
        ])
      ]
      [
        {
          result = [
            1
            2
            3
          ];
        }
        {
          result = [
            "/"
            "/home"
            "/home/user"
            "/home/user/other"
            "/bin"
          ];
        }
      ];
  toposortCycle = equal (
    (lib.toposort (a: b: (a == 1 && b == 2) || (a == 2 && b == 1)) [
      1
      2
    ])
      ? cycle
  ) true;
  listDfs =
    equal
      (lib.listDfs true lib.hasPrefix [
        "/home/user"
        "other"
        "/"
        "/home"
      ])
      {
        minimal = "/";
        visited = [ "/home/user" ];
        rest = [
          "/home"
          "other"
        ];
      };
  replaceElemAt = equal (lib.replaceElemAt [ 1 2 3 ] 1 "x") [
    1
    "x"
    3
  ];
  ifilter0 =
    equal
      (lib.ifilter0 (i: v: i == 0 || v > 2) [
        1
        2
        3
      ])
      [
        1
        3
      ];
  forEach = equal (lib.forEach [ 1 2 ] toString) [
    "1"
    "2"
  ];
}
