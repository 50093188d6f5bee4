# Strings: joining, splitting, escaping.
{ lib }:
let
  equal = expr: expected: { inherit expr expected; };
in
{
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
  splitStringBy =
    equal
      (lib.strings.splitStringBy (
        _: c:
        lib.elem c [
          "."
          "-"
        ]
      ) false "a.b-c")
      [
        "a"
        "b"
        "c"
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
        (lib.concatImapStringsSep "-" (i: x: "${toString i}${x}") [
          "a"
          "b"
        ])
        (lib.concatLines [
          "a"
          "b"
        ])
        (lib.concatMapAttrsStringSep "," (n: v: "${n}=${v}") {
          b = "2";
          a = "1";
        })
        (lib.join "," [
          "a"
          "b"
        ])
      ]
      [
        "ab"
        "<a><b>"
        "A-B"
        "1a-2b"
        "a\nb\n"
        "a=1,b=2"
        "a,b"
      ];
  intersperse =
    equal
      (lib.intersperse "/" [
        "a"
        "b"
        "c"
      ])
      [
        "a"
        "/"
        "b"
        "/"
        "c"
      ];
  case =
    equal
      [
        (lib.toUpper "aZ1")
        (lib.toLower "aZ1")
        (lib.toSentenceCase "hELLO")
        (lib.toCamelCase "hello-world_x")
      ]
      [
        "AZ1"
        "az1"
        "Hello"
        "helloWorldX"
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
  asChars = equal (lib.stringAsChars (c: if c == "a" then "i" else c) "nax") "nix";
  escape = equal (lib.escape [ "(" ")" ] "(a)") "\\(a\\)";
  escapeRegex = equal (lib.escapeRegex "[^a-z]*.") "\\[\\^a-z]\\*\\.";
  escapeXML = equal (lib.escapeXML ''<a b="c">&'</a>'') "&lt;a b=&quot;c&quot;&gt;&amp;&apos;&lt;/a&gt;";
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
  toShellVars = equal (lib.toShellVars {
    a = "x y";
    b = [
      1
      "z"
    ];
    c.k = "v w";
  }) "a='x y'\ndeclare -a b=(1 z)\ndeclare -A c=([k]='v w')";
  escapeURL = equal (lib.escapeURL "a b/c?d=e~f") "a%20b%2Fc%3Fd%3De~f";
}
