# Lists: parts of them, sets, order.
helpers: with helpers; {
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
      ];
  groupBy =
    equal
      (lib.groupBy (x: if x > 2 then "big" else "small") [
        1
        3
      ])
      {
        big = [ 3 ];
        small = [ 1 ];
      };
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
  replicate = equal (lib.lists.replicate 2 "a") [
    "a"
    "a"
  ];
  forEach = equal (lib.forEach [ 1 2 ] toString) [
    "1"
    "2"
  ];
}
