# Strings for build tools; versions, numbers, values as text.
helpers: with helpers; {
  cmake =
    equal
      [
        (lib.cmakeBool "A" true)
        (lib.cmakeBool "A" false)
        (lib.cmakeFeature "B" "x;y")
        (lib.cmakeOptionType "filepath" "C" "/x")

      ]
      [
        "-DA:BOOL=TRUE"
        "-DA:BOOL=FALSE"
        "-DB:STRING=x;y"
        "-DC:FILEPATH=/x"

      ];
  cmakeRefuses = equal (builtins.tryEval (lib.cmakeBool "A" "ON")).success false;
  searchPaths =
    equal
      [
        (lib.makeSearchPath "bin" [
          "/a"
          "/b"
        ])
        (lib.makeBinPath [ "/a" ])
        (lib.makeLibraryPath [
          "/a"
          "/b"
        ])
      ]
      [ "/a/bin:/b/bin" "/a/bin" "/a/lib:/b/lib" ];
  searchPathOutputs = equal (lib.makeBinPath [
    {
      bin = "/x-bin";
      outPath = "/x";
    }
  ]) "/x-bin/bin";
  versions =
    equal
      [
        (lib.versionOlder "1.1" "1.2")
        (lib.versionAtLeast "1.1" "1.1")
        (lib.versionOlder "1.10" "1.9")
        (lib.versions.major "12.9.1")
        (lib.versions.minor "12.9.1")
        (lib.versions.patch "12.9.1")
        (lib.versions.majorMinor "12.9.1")

      ]
      [
        true
        true
        false
        "12"
        "9"
        "1"
        "12.9"
      ];
  names =
    equal
      [
        (lib.getName "youtube-dl-2016.01.01")
        (lib.getName {
          pname = "a";
          name = "b-1";
        })
        (lib.getVersion { name = "b-1.2"; })

      ]
      [ "youtube-dl" "a" "1.2" ];
  toInt =
    equal
      (map lib.toInt [
        "1337"
        " -4 "
      ])
      [
        1337
        (-4)
      ];
  toIntRefuses =
    equal
      (map (s: (builtins.tryEval (lib.toInt s)).success) [
        "00024"
        "3.14"
        "x"
      ])
      [
        false
        false
        false
      ];
  levenshtein =
    equal
      [
        (lib.strings.levenshtein "foo" "foo")
        (lib.strings.levenshtein "book" "hook")
        (lib.strings.levenshtein "hello" "Heyo")
        (lib.strings.levenshtein "" "abc")
        (lib.strings.levenshteinAtMost 1 "tigerlake" "tigrlake")
        (lib.strings.levenshteinAtMost 1 "tigerlake" "icelake")
      ]
      [ 0 1 3 3 true false ];
  sanitize =
    equal
      (map lib.strings.sanitizeDerivationName [
        "../hello.bar # foo"
        ""
        ".a"
      ])
      [
        "-hello.bar-foo"
        "unknown"
        "a"
      ];
  stringLike =
    equal
      (map lib.isStringLike [
        "a"
        /x
        { outPath = "x"; }
        1
        { }
      ])
      [
        true
        true
        true
        false
        false
      ];
  isStorePath =
    equal
      (map lib.strings.isStorePath [
        "/nix/store/00000000000000000000000000000000-x"
        "/nix/store/a/b"
        "a"
        1
      ])
      [
        true
        false
        false
        false
      ];
  generators =
    equal
      [
        (lib.generators.toKeyValue { } {
          a = 1;
          b = true;
          c = "x";
        })
        (lib.generators.toINI { } {
          s.a = 1;
          t.b = "y";
        })
        (lib.generators.toJSON { } { a = [ 1 ]; })
        (lib.generators.toYAML { } { })
      ]
      [ "a=1\nb=true\nc=x\n" "[s]\na=1\n\n[t]\nb=y\n" ''{"a":[1]}'' "{}" ];
  pretty =
    equal
      [
        (lib.generators.toPretty { } {
          a = 1;
          b = [
            "x"
            null
            true
          ];
          "c d" = { };
          e = [ ];
          f = x: x;
          g =
            {
              y,
              z ? 1,
            }:
            y;
          h = 1.5;
        })
        (lib.generators.toPretty { multiline = false; } {
          a = [
            1
            2
          ];
        })
        (lib.generators.toPretty { } "one\ntwo\n")
        (lib.generators.toPretty { } "one\ntwo")
        (lib.generators.toPretty { } {
          type = "derivation";
          name = "x";
        })
      ]
      [
        "{\n  a = 1;\n  b = [\n    \"x\"\n    null\n    true\n  ];\n  \"c d\" = { };\n  e = [ ];\n  f = <function>;\n  g = <function, args: {y, z?}>;\n  h = 1.5;\n}"
        "{ a = [ 1 2 ]; }"
        "''\n  one\n  two\n''"
        "''\n  one\n  two''"
        "<derivation x>"
      ];
}
