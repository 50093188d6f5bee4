# Attribute sets.
helpers: with helpers; {
  attrByPath =
    equal
      [
        (lib.attrByPath [ "a" "b" ] 6 { a.b = 3; })
        (lib.attrByPath [ "z" "z" ] 6 { })
        (lib.attrByPath [ ] 6 { x = 1; })
      ]
      [
        3
        6
        { x = 1; }
      ];
  hasAttrByPath =
    equal
      [
        (lib.hasAttrByPath [ "a" "b" ] { a.b = 1; })
        (lib.hasAttrByPath [ "a" "c" ] { a.b = 1; })
        (lib.hasAttrByPath [ ] 1)
      ]
      [ true false true ];
  setAttrByPath = equal (lib.setAttrByPath [ "a" "b" ] 3) { a.b = 3; };
  getAttrFromPath = equal (lib.getAttrFromPath [ "a" "b" ] { a.b = 3; }) 3;
  genAttrs = equal (lib.genAttrs [ "a" "b" ] (n: n + "!")) {
    a = "a!";
    b = "b!";
  };
  maps =
    equal
      [
        (lib.mapAttrs' (n: v: lib.nameValuePair "x${n}" (v + 1)) { a = 1; })
        (lib.mapAttrsToList (n: v: n + v) {
          x = "a";
          y = "b";
        })
        (lib.attrsToList { a = 1; })
        (lib.concatMapAttrs (n: v: {
          ${n} = v;
          "${n}${v}" = v;
        }) { x = "a"; })
        (lib.foldlAttrs
          (
            acc: n: v:
            acc + n + v
          )
          ""
          {
            a = "1";
            b = "2";
          }
        )
      ]
      [
        { xa = 2; }
        [
          "xa"
          "yb"
        ]
        [
          {
            name = "a";
            value = 1;
          }
        ]
        {
          x = "a";
          xa = "a";
        }
        "a1b2"
      ];
  filterAttrs =
    equal
      (lib.filterAttrs (n: v: n == "foo" || v > 2) {
        foo = 1;
        bar = 2;
        baz = 3;
      })
      {
        foo = 1;
        baz = 3;
      };
  collect =
    equal
      (lib.collect lib.isList {
        a.b = [ 1 ];
        c = [ 2 ];
        d = 3;
      })
      [
        [ 1 ]
        [ 2 ]
      ];
  mapAttrsRecursive =
    equal
      (lib.mapAttrsRecursive (path: v: lib.concatStringsSep "-" (path ++ [ v ])) {
        n.a = "A";
        d = "D";
      })
      {
        n.a = "n-a-A";
        d = "d-D";
      };
  mapAttrsRecursiveCond =
    equal
      (lib.mapAttrsRecursiveCond (as: !(as ? stop)) (_: v: if lib.isAttrs v then "set" else v) {
        a.stop = 1;
        b.c = 2;
      })
      {
        a = "set";
        b.c = 2;
      };
  zips =
    equal
      [
        (lib.zipAttrsWith (_: v: v) [
          { a = 1; }
          {
            a = 2;
            b = 3;
          }
        ])

        (lib.foldAttrs (x: acc: [ x ] ++ acc)
          [ ]
          [
            { a = 2; }
            { a = 3; }
          ]
        )
      ]
      [
        {
          a = [
            1
            2
          ];
          b = [ 3 ];
        }
        {
          a = [
            2
            3
          ];
        }
      ];
  recursiveUpdate =
    equal
      [
        (lib.recursiveUpdate
          {
            a = {
              b = 1;
              c = 2;
            };
            d = 1;
          }
          {
            a.b = 9;
            d.e = 2;
          }
        )
        (lib.recursiveUpdateUntil
          (
            path: _: _:
            path == [ "foo" ]
          )
          {
            foo.bar = 1;
            foo.baz = 2;
            bar = 3;
          }
          {
            foo.bar = 1;
            foo.quz = 2;
            baz = 4;
          }
        )
      ]
      [
        {
          a = {
            b = 9;
            c = 2;
          };
          d.e = 2;
        }
        {
          foo = {
            bar = 1;
            quz = 2;
          };
          bar = 3;
          baz = 4;
        }
      ];
  matchAttrs =
    equal
      [
        (lib.matchAttrs { cpu = { }; } { cpu.bits = 64; })
        (lib.matchAttrs { cpu.bits = 32; } { cpu.bits = 64; })
      ]
      [ true false ];
  optionalAttrs =
    equal
      [
        (lib.optionalAttrs true { a = 1; })
        (lib.optionalAttrs false { a = 1; })
      ]
      [
        { a = 1; }
        { }
      ];
  getAttrs =
    equal
      [
        (lib.getAttrs [ "a" ] {
          a = 1;
          b = 2;
        })

        (lib.mergeAttrsList [
          { a = 1; }
          { b = 2; }
        ])
      ]
      [
        { a = 1; }
        {
          a = 1;
          b = 2;
        }
      ];
  outputs =
    equal
      (
        let
          pkg = {
            out = "out";
            dev = "dev";
            lib = "lib";
            type = "derivation";
          };
        in
        [
          (lib.getDev pkg)
          (lib.getLib pkg)
          (lib.getBin pkg)
          (lib.getOutput "nope" pkg)
          (lib.getLib {
            outputSpecified = true;
            lib = "no";
          }).outputSpecified

        ]
      )
      [
        "dev"
        "lib"
        "out"
        "out"
        true
      ];
  isDerivation =
    equal
      (map lib.isDerivation [
        { type = "derivation"; }
        { }
        1
      ])
      [
        true
        false
        false
      ];
  showAttrPath =
    equal
      [
        (lib.showAttrPath [
          "foo"
          "10"
          "bar"
        ])
        (lib.showAttrPath [ ])
      ]
      [ "foo.\"10\".bar" "<root attribute path>" ];
}
