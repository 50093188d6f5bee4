# Fixed points, overrides, scopes.
helpers:
with helpers;
let
  add =
    {
      a,
      b ? 1,
    }:
    {
      sum = a + b;
    };
in
{
  pathAppend = equal (lib.path.append /a "b/c") /a/b/c;
  pipe = equal (lib.pipe 2 [
    (x: x + 2)
    (x: x * 2)
  ]) 8;
  basics =
    equal
      [
        (lib.id 1)
        (lib.const 1 2)
        (lib.flip (a: b: a - b) 1 3)

        (lib.mod 11 4)
        (lib.min 1 2)
        (lib.max 1 2)

        (lib.boolToString true)

      ]
      [
        1
        1
        2
        3
        1
        2
        "true"
      ];
  fix =
    equal
      (lib.fix (self: {
        a = 1;
        b = self.a + 1;
      }))
      {
        a = 1;
        b = 2;
      };
  extends =
    equal
      (lib.fix (
        lib.extends (final: prev: { b = prev.b + final.a; }) (_final: {
          a = 1;
          b = 2;
        })
      ))
      {
        a = 1;
        b = 3;
      };
  composeExtensions = equal (lib.fix (
    lib.extends
      (lib.composeManyExtensions [
        (_: prev: { x = prev.x + "b"; })
        (_: prev: { x = prev.x + "c"; })
      ])
      (_: {
        x = "a";
      })
  )) { x = "abc"; };
  makeExtensible =
    equal
      (
        (lib.makeExtensible (self: {
          a = 1;
          b = self.a;
        })).extend
        (_: _: { a = 5; })
      ).b
      5;
  functionArgs =
    equal
      [
        (lib.functionArgs add)
        (lib.functionArgs (lib.setFunctionArgs (_: 1) { x = true; }))
        (lib.isFunction (lib.setFunctionArgs (_: 1) { }))
        (lib.isFunction { })
        (lib.functionArgs (lib.mirrorFunctionArgs add (x: x)))
        (lib.toFunction 1 2)
      ]
      [
        {
          a = false;
          b = true;
        }
        { x = true; }
        true
        false
        {
          a = false;
          b = true;
        }
        1
      ];
  makeOverridable =
    equal
      (
        let
          o = lib.makeOverridable add { a = 1; };
        in
        [
          o.sum
          (o.override { b = 5; }).sum
          (o.override (old: {
            a = old.a + 10;
          })).sum
          ((o.override { a = 2; }).override { b = 3; }).sum
          (lib.functionArgs o.override)
        ]
      )
      [
        2
        6
        12
        5
        {
          a = false;
          b = true;
        }
      ];
  overridableFunction =
    equal
      (
        let
          f = lib.makeOverridable ({ a }: x: a + x) { a = 1; };
        in
        [
          (f 1)
          ((f.override { a = 2; }) 1)
        ]
      )
      [
        2
        3
      ];
  callPackage =
    equal
      [
        (lib.callPackageWith {
          a = 1;
          b = 2;
          c = 3;
        } add { }).sum
        (
          (lib.callPackageWith {
            a = 1;
            b = 2;
          } add { b = 10; }).override
          { a = 5; }
        ).sum
      ]
      [ 3 15 ];
  makeScope =
    equal
      (
        let
          newScope = extra: lib.callPackageWith ({ a = 1; } // extra);
          scope = lib.makeScope newScope (self: {
            b = 2;
            c = self.callPackage add { };
          });
          changed = scope.overrideScope (_final: prev: { b = prev.b + 5; });
        in
        [
          scope.c.sum
          changed.c.sum
          (changed.newScope { a = 100; } add { }).sum
        ]
      )
      [
        3
        8
        107
      ];
}
