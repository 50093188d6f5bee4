# Lists: building, folding, finding, sorting.
helpers: with helpers; {
  optionals =
    equal
      [
        (lib.optional true 1)
        (lib.optional false 1)
        (lib.optionals true [ 1 ])
        (lib.optionals false [ 1 ])
      ]
      [
        [ 1 ]
        [ ]
        [ 1 ]
        [ ]
      ];
  toList =
    equal
      [
        (lib.toList 1)
        (lib.toList [ 1 ])
        (lib.singleton 1)
      ]
      [
        [ 1 ]
        [ 1 ]
        [ 1 ]
      ];
  range =
    equal
      [ (lib.range 2 4) (lib.range 3 2) ]
      [
        [
          2
          3
          4
        ]
        [ ]
      ];
  folds =
    equal
      [
        (lib.foldr (a: b: a + b) "z" [
          "a"
          "b"
        ])

        (lib.foldl' (a: b: a - b) 10 [
          1
          2
        ])

        (lib.foldl (a: b: a + b) "z" [
          "a"
          "b"
        ])
      ]
      [
        "abz"
        7
        "zab"
      ];
  foldrIsLazy = equal (lib.foldr (a: b: a || b) false [
    true
    (throw "unused")
  ]) true;
  imap =
    equal
      [
        (lib.imap0 (i: x: i + x) [
          10
          20
        ])
        (lib.imap1 (i: x: i + x) [
          10
          20
        ])
      ]
      [
        [
          10
          21
        ]
        [
          11
          22
        ]
      ];
  flatten =
    equal
      (lib.flatten [
        1
        [
          2
          [ 3 ]
        ]
        [ ]
      ])
      [
        1
        2
        3
      ];
  remove =
    equal
      (lib.remove 3 [
        1
        3
        4
        3
      ])
      [
        1
        4
      ];
  find =
    equal
      [
        (lib.findFirst (x: x > 3) 7 [
          1
          6
          4
        ])
        (lib.findFirst (x: x > 9) 7 [
          1
          6
          4
        ])

      ]
      [ 6 7 ];
  count = equal (lib.count (x: x == 3) [
    3
    2
    3
  ]) 2;
  zip = equal (lib.zipListsWith (a: b: a + b) [ "h" "l" "x" ] [ "e" "o" ]) [
    "he"
    "lo"
  ];
  reverse =
    equal
      (lib.reverseList [
        1
        2
        3
      ])
      [
        3
        2
        1
      ];
  sort =
    equal
      [
        (lib.sort (a: b: a < b) [
          5
          3
          7
        ])
        (lib.sortOn lib.stringLength [
          "aa"
          "b"
          "cccc"
        ])
      ]
      [
        [
          3
          5
          7
        ]
        [
          "b"
          "aa"
          "cccc"
        ]
      ];
  sortIsStable =
    equal
      (lib.sortOn (x: x.k) [
        {
          k = 1;
          v = "a";
        }
        {
          k = 0;
          v = "b";
        }
        {
          k = 1;
          v = "c";
        }
      ])
      [
        {
          k = 0;
          v = "b";
        }
        {
          k = 1;
          v = "a";
        }
        {
          k = 1;
          v = "c";
        }
      ];
}
