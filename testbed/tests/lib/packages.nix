# Derivations, sources, licences, assertions.
helpers: with helpers; {
  extendDerivation =
    equal
      (
        let
          drv = derivation {
            name = "x";
            system = "x86_64-linux";
            builder = "/bin/sh";
          };
          good = lib.extendDerivation true { extra = 1; } drv;
          bad = lib.extendDerivation (throw "refused") { extra = 1; } drv;
        in
        [
          good.extra
          (good.drvPath == drv.drvPath)
          bad.extra
          bad.name
          (fails bad.drvPath)
          (fails bad.outPath)
        ]
      )
      [
        1
        true
        1
        "x"
        true
        true
      ];
  overrideDerivation = equal (
    let
      drv = derivation {
        name = "x";
        system = "x86_64-linux";
        builder = "/bin/sh";
      };
    in
    (lib.overrideDerivation (drv // { meta = { }; }) (old: {
      name = old.name + "y";
    })).name
  ) "xy";
  getExe =
    equal
      (
        let
          drv = {
            type = "derivation";
            name = "hello-1";
            outPath = "/s/hello";
            meta.mainProgram = "hi";
          };
        in
        [
          (lib.getExe drv)
          (lib.getExe' drv "other")
          (fails (lib.getExe' drv "a/b"))
          (fails (lib.getExe' "x" "y"))
        ]
      )
      [
        "/s/hello/bin/hi"
        "/s/hello/bin/other"
        true
        true
      ];
  priorities =
    equal
      [
        (lib.hiPrio { }).meta.priority
        (lib.lowPrio { }).meta.priority
        (lib.setPrio 3 { meta.x = 1; }).meta
      ]
      [
        (-10)
        10
        {
          x = 1;
          priority = 3;
        }
      ];
  cleanSourceFilter =
    equal
      (map (args: lib.cleanSourceFilter (lib.head args) (lib.last args)) [
        [
          "/a/.git"
          "directory"
        ]
        [
          "/a/b.o"
          "regular"
        ]
        [
          "/a/x~"
          "regular"
        ]
        [
          "/a/result"
          "symlink"
        ]
        [
          "/a/b.c"
          "regular"
        ]
        [
          "/a/.swp"
          "regular"
        ]
        [
          "/a/.x.swp"
          "regular"
        ]
        [
          "/a/sock"
          "unknown"
        ]
      ])
      [
        false
        false
        false
        false
        true
        false
        false
        false
      ];
  cleanSource =
    equal
      (
        let
          filtered = lib.cleanSourceWith {
            src = lib.cleanSource ./.;
            filter = path: _: baseNameOf path == "lists.nix" || baseNameOf path == "types-scalars.nix";
          };
          again = lib.cleanSourceWith {
            src = filtered;
            filter = path: _: baseNameOf path != "types-scalars.nix";
            name = "named";
          };
        in
        [
          (builtins.attrNames (builtins.readDir "${again}"))
          (lib.hasSuffix "-named" "${again}")

        ]
      )
      [
        [ "lists.nix" ]
        true
      ];
  warnings =
    equal
      [
        (lib.warnIf false "no" 1)
        (lib.warnIfNot true "no" 2)
        (lib.throwIf false "no" 3)
        (fails (lib.throwIf true "yes" 3))
        (fails (lib.throwIfNot false "yes" 3))
      ]
      [ 1 2 3 true true ];
  asserts =
    equal
      [
        (lib.assertMsg true "x")
        (fails (lib.assertMsg false "x"))
        (lib.assertOneOf "v" 1 [
          1
          2
        ])
        (fails (
          lib.assertOneOf "v" 3 [
            1
            2
          ]
        ))

      ]
      [ true true true true ];
  licenses =
    equal
      [
        lib.licenses.mit.spdxId
        lib.licenses.unfree.free
        lib.licenses.mit.free
        lib.licenses.nvidiaCuda.shortName
        lib.licenses.nvidiaCuda.free

      ]
      [ "MIT" false true "CUDA EULA" false ];
  filesystem =
    equal
      [
        (lib.pathIsDirectory ./.)
        (lib.pathType ./lists.nix)
        (lib.hasSuffix "\n}" (lib.fileContents ./lists.nix))
        (builtins.elem ./lists.nix (lib.filesystem.listFilesRecursive ./.))
      ]
      [ true "regular" true true ];
  extend = equal ((lib.extend (final: _prev: { answer = final.id 42; })).answer) 42;
}
