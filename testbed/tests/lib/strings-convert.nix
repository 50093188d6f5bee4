# Strings for build tools; versions, numbers, values as text.
{ lib }:
let
  equal = expr: expected: { inherit expr expected; };
in
{
  cmake =
    equal
      [
        (lib.cmakeBool "A" true)
        (lib.cmakeBool "A" false)
        (lib.cmakeFeature "B" "x;y")
        (lib.cmakeOptionType "filepath" "C" "/x")
        (lib.mesonBool "a" true)
        (lib.mesonEnable "a" false)
        (lib.enableFeature true "x")
        (lib.withFeatureAs true "x" "y")
        (lib.withFeatureAs false "x" (throw "unused"))
      ]
      [
        "-DA:BOOL=TRUE"
        "-DA:BOOL=FALSE"
        "-DB:STRING=x;y"
        "-DC:FILEPATH=/x"
        "-Da=true"
        "-Da=disabled"
        "--enable-x"
        "--with-x=y"
        "--without-x"
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
        (lib.versions.majorMinor "12.9.1")
        (lib.versions.pad 3 "1.2")
        (lib.versions.pad 2 "1.2.3")
      ]
      [
        true
        true
        false
        "12"
        "12.9"
        "1.2.0"
        "1.2"
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
        (lib.nameFromURL "https://x.org/releases/nix-1.7/nix-1.7-x86_64-linux.tar.bz2" "-")
      ]
      [ "youtube-dl" "a" "1.2" "nix" ];
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
  toIntBase10 =
    equal
      (map lib.toIntBase10 [
        "0024"
        "000"
        "-4"
      ])
      [
        24
        0
        (-4)
      ];
  fixedWidth =
    equal
      [
        (lib.fixedWidthString 5 "0" "15")
        (lib.fixedWidthNumber 3 7)
      ]
      [ "00015" "007" ];
  hex =
    equal
      [ (lib.toHexString 250) (lib.fromHexString "FF") (lib.toBaseDigits 10 123) ]
      [
        "FA"
        255
        [
          1
          2
          3
        ]
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
  commonAffixes =
    equal
      [ (lib.strings.commonPrefixLength "abcd" "abxy") (lib.strings.commonSuffixLength "xyz" "ayz") ]
      [ 2 2 ];
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
  replicate = equal (lib.strings.replicate 3 "ab") "ababab";
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
      ]
      [ "a=1\nb=true\nc=x\n" "[s]\na=1\n\n[t]\nb=y\n" ''{"a":[1]}'' ];
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
