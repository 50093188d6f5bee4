# Strings: joining, splitting, escaping.
helpers: with helpers; {
  optionalString = equal [ (lib.optionalString true "x") (lib.optionalString false "x") ] [ "x" "" ];
  hasPrefix =
    equal
      (map (lib.hasPrefix "foo") [
        "foobar"
        "barfoo"
        "foo"
        ""
      ])
      [
        true
        false
        true
        false
      ];
  hasSuffix =
    equal
      (map (lib.hasSuffix "foo") [
        "foobar"
        "barfoo"
        "foo"
        ""
      ])
      [
        false
        true
        true
        false
      ];
  hasInfix =
    equal
      (map (lib.hasInfix "b.r") [
        "foob.r!"
        "foobar"
      ])
      [
        true
        false
      ];
  removePrefix =
    equal
      (map (lib.removePrefix "foo.") [
        "foo.bar"
        "xfoo.bar"
      ])
      [
        "bar"
        "xfoo.bar"
      ];
  removeSuffix =
    equal
      (map (lib.removeSuffix "foo") [
        "homefoo"
        "home"
        "foo"
      ])
      [
        "home"
        "home"
        ""
      ];
  splitString =
    equal
      [ (lib.splitString "." "a.b.c") (lib.splitString "/" "/usr/bin") (lib.splitString "," "") ]
      [
        [
          "a"
          "b"
          "c"
        ]
        [
          ""
          "usr"
          "bin"
        ]
        [ "" ]
      ];
  concat =
    equal
      [
        (lib.concatStrings [
          "a"
          "b"
        ])
        (lib.concatMapStrings (x: "<${x}>") [
          "a"
          "b"
        ])
        (lib.concatMapStringsSep "-" lib.toUpper [
          "a"
          "b"
        ])

        (lib.concatLines [
          "a"
          "b"
        ])

      ]
      [
        "ab"
        "<a><b>"
        "A-B"

        "a\nb\n"

      ];
  case =
    equal
      [
        (lib.toUpper "aZ1")
        (lib.toLower "aZ1")

      ]
      [
        "AZ1"
        "az1"
      ];
  trim =
    equal
      [
        (lib.trim "  a b \n")
        (lib.trim "   ")
        (lib.trimWith { start = true; } "  a ")
        (lib.trimWith { end = true; } "  a ")
      ]
      [ "a b" "" "a " "  a" ];
  characters = equal (lib.stringToCharacters "abc") [
    "a"
    "b"
    "c"
  ];
  escape = equal (lib.escape [ "(" ")" ] "(a)") "\\(a\\)";
  escapeRegex = equal (lib.escapeRegex "[^a-z]*.") "\\[\\^a-z]\\*\\.";
  escapeNix =
    equal
      [
        (lib.strings.escapeNixString "a\${b}\"c\n")
        (map lib.strings.escapeNixIdentifier [
          "a-b"
          "0a"
          "if"
          "a.b"
        ])
      ]
      [
        "\"a\\\${b}\\\"c\\n\""
        [
          "a-b"
          "\"0a\""
          "\"if\""
          "\"a.b\""
        ]
      ];
  escapeShellArg =
    equal
      (map lib.escapeShellArg [
        "esc'ape\nme"
        "plain/1.0_x"
        ""
        "a b"
        "x=y"
      ])
      [
        "'esc'\\''ape\nme'"
        "plain/1.0_x"
        "''"
        "'a b'"
        "'x=y'"
      ];
  escapeShellArgs = equal (lib.escapeShellArgs [
    "one"
    "two three"
    4
  ]) "one 'two three' 4";
  toShellVar =
    equal
      [
        (lib.toShellVar "a" "x y")
        (lib.toShellVar "b" [
          1
          "z"
        ])
        (lib.toShellVar "c" { k = "v w"; })
      ]
      [ "a='x y'" "declare -a b=(1 z)" "declare -A c=([k]='v w')" ];
}
