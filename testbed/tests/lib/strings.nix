# Strings, shell words, versions, numbers.
{ lib }:
let
  equal = expr: expected: { inherit expr expected; };
in
{
  optionalString = equal [ (lib.optionalString true "x") (lib.optionalString false "x") ] [ "x" "" ];
  hasPrefix = equal (map (lib.hasPrefix "foo") [ "foobar" "barfoo" "foo" "" ]) [ true false true false ];
  hasSuffix = equal (map (lib.hasSuffix "foo") [ "foobar" "barfoo" "foo" "" ]) [ false true true false ];
  hasInfix = equal (map (lib.hasInfix "b.r") [ "foob.r!" "foobar" ]) [ true false ];
  removePrefix = equal (map (lib.removePrefix "foo.") [ "foo.bar" "xfoo.bar" ]) [ "bar" "xfoo.bar" ];
  removeSuffix = equal (map (lib.removeSuffix "foo") [ "homefoo" "home" "foo" ]) [ "home" "home" "" ];
  splitString = equal [ (lib.splitString "." "a.b.c") (lib.splitString "/" "/usr/bin") (lib.splitString "," "") ] [
    [ "a" "b" "c" ]
    [ "" "usr" "bin" ]
    [ "" ]
  ];
  splitStringBy = equal (lib.strings.splitStringBy (_: c: lib.elem c [ "." "-" ]) false "a.b-c") [ "a" "b" "c" ];
  concat = equal [
    (lib.concatStrings [ "a" "b" ])
    (lib.concatMapStrings (x: "<${x}>") [ "a" "b" ])
    (lib.concatMapStringsSep "-" lib.toUpper [ "a" "b" ])
    (lib.concatImapStringsSep "-" (i: x: "${toString i}${x}") [ "a" "b" ])
    (lib.concatLines [ "a" "b" ])
    (lib.concatMapAttrsStringSep "," (n: v: "${n}=${v}") { b = "2"; a = "1"; })
    (lib.join "," [ "a" "b" ])
  ] [ "ab" "<a><b>" "A-B" "1a-2b" "a\nb\n" "a=1,b=2" "a,b" ];
  intersperse = equal (lib.intersperse "/" [ "a" "b" "c" ]) [ "a" "/" "b" "/" "c" ];
  case = equal [ (lib.toUpper "aZ1") (lib.toLower "aZ1") (lib.toSentenceCase "hELLO") (lib.toCamelCase "hello-world_x") ] [
    "AZ1"
    "az1"
    "Hello"
    "helloWorldX"
  ];
  trim = equal [
    (lib.trim "  a b \n")
    (lib.trim "   ")
    (lib.trimWith { start = true; } "  a ")
    (lib.trimWith { end = true; } "  a ")
  ] [ "a b" "" "a " "  a" ];
  characters = equal (lib.stringToCharacters "abc") [ "a" "b" "c" ];
  asChars = equal (lib.stringAsChars (c: if c == "a" then "i" else c) "nax") "nix";
  escape = equal (lib.escape [ "(" ")" ] "(a)") "\\(a\\)";
  escapeRegex = equal (lib.escapeRegex "[^a-z]*.") "\\[\\^a-z]\\*\\.";
  escapeXML = equal (lib.escapeXML ''<a b="c">&'</a>'') "&lt;a b=&quot;c&quot;&gt;&amp;&apos;&lt;/a&gt;";
  escapeNix = equal [ (lib.strings.escapeNixString "a\${b}\"c\n") (map lib.strings.escapeNixIdentifier [ "a-b" "0a" "if" "a.b" ]) ] [
    "\"a\\\${b}\\\"c\\n\""
    [ "a-b" "\"0a\"" "\"if\"" "\"a.b\"" ]
  ];
  escapeShellArg = equal (map lib.escapeShellArg [ "esc'ape\nme" "plain/1.0_x" "" "a b" "x=y" ]) [
    "'esc'\\''ape\nme'"
    "plain/1.0_x"
    "''"
    "'a b'"
    "'x=y'"
  ];
  escapeShellArgs = equal (lib.escapeShellArgs [ "one" "two three" 4 ]) "one 'two three' 4";
  toShellVars = equal (lib.toShellVars { a = "x y"; b = [ 1 "z" ]; c.k = "v w"; }) "a='x y'\ndeclare -a b=(1 z)\ndeclare -A c=([k]='v w')";
  escapeURL = equal (lib.escapeURL "a b/c?d=e~f") "a%20b%2Fc%3Fd%3De~f";
  cmake = equal [
    (lib.cmakeBool "A" true)
    (lib.cmakeBool "A" false)
    (lib.cmakeFeature "B" "x;y")
    (lib.cmakeOptionType "filepath" "C" "/x")
    (lib.mesonBool "a" true)
    (lib.mesonEnable "a" false)
    (lib.enableFeature true "x")
    (lib.withFeatureAs true "x" "y")
    (lib.withFeatureAs false "x" (throw "unused"))
  ] [
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
  searchPaths = equal [
    (lib.makeSearchPath "bin" [ "/a" "/b" ])
    (lib.makeBinPath [ "/a" ])
    (lib.makeLibraryPath [ "/a" "/b" ])
  ] [ "/a/bin:/b/bin" "/a/bin" "/a/lib:/b/lib" ];
  searchPathOutputs = equal (lib.makeBinPath [ { bin = "/x-bin"; outPath = "/x"; } ]) "/x-bin/bin";
  versions = equal [
    (lib.versionOlder "1.1" "1.2")
    (lib.versionAtLeast "1.1" "1.1")
    (lib.versionOlder "1.10" "1.9")
    (lib.versions.major "12.9.1")
    (lib.versions.majorMinor "12.9.1")
    (lib.versions.pad 3 "1.2")
    (lib.versions.pad 2 "1.2.3")
  ] [ true true false "12" "12.9" "1.2.0" "1.2" ];
  names = equal [
    (lib.getName "youtube-dl-2016.01.01")
    (lib.getName { pname = "a"; name = "b-1"; })
    (lib.getVersion { name = "b-1.2"; })
    (lib.nameFromURL "https://x.org/releases/nix-1.7/nix-1.7-x86_64-linux.tar.bz2" "-")
  ] [ "youtube-dl" "a" "1.2" "nix" ];
  toInt = equal (map lib.toInt [ "1337" " -4 " ]) [ 1337 (-4) ];
  toIntRefuses = equal (map (s: (builtins.tryEval (lib.toInt s)).success) [ "00024" "3.14" "x" ]) [ false false false ];
  toIntBase10 = equal (map lib.toIntBase10 [ "0024" "000" "-4" ]) [ 24 0 (-4) ];
  fixedWidth = equal [ (lib.fixedWidthString 5 "0" "15") (lib.fixedWidthNumber 3 7) ] [ "00015" "007" ];
  hex = equal [ (lib.toHexString 250) (lib.fromHexString "FF") (lib.toBaseDigits 10 123) ] [ "FA" 255 [ 1 2 3 ] ];
  levenshtein = equal [
    (lib.strings.levenshtein "foo" "foo")
    (lib.strings.levenshtein "book" "hook")
    (lib.strings.levenshtein "hello" "Heyo")
    (lib.strings.levenshtein "" "abc")
    (lib.strings.levenshteinAtMost 1 "tigerlake" "tigrlake")
    (lib.strings.levenshteinAtMost 1 "tigerlake" "icelake")
  ] [ 0 1 3 3 true false ];
  commonAffixes = equal [ (lib.strings.commonPrefixLength "abcd" "abxy") (lib.strings.commonSuffixLength "xyz" "ayz") ] [ 2 2 ];
  sanitize = equal (map lib.strings.sanitizeDerivationName [ "../hello.bar # foo" "" ".a" ]) [ "-hello.bar-foo" "unknown" "a" ];
  stringLike = equal (map lib.isStringLike [ "a" /x { outPath = "x"; } 1 { } ]) [ true true true false false ];
  isStorePath = equal (map lib.strings.isStorePath [ "/nix/store/00000000000000000000000000000000-x" "/nix/store/a/b" "a" 1 ]) [
    true
    false
    false
    false
  ];
  replicate = equal (lib.strings.replicate 3 "ab") "ababab";
  generators = equal [
    (lib.generators.toKeyValue { } { a = 1; b = true; c = "x"; })
    (lib.generators.toINI { } { s.a = 1; t.b = "y"; })
    (lib.generators.toJSON { } { a = [ 1 ]; })
  ] [ "a=1\nb=true\nc=x\n" "[s]\na=1\n\n[t]\nb=y\n" ''{"a":[1]}'' ];
  pretty = equal [
    (lib.generators.toPretty { } { a = 1; b = [ "x" null true ]; "c d" = { }; e = [ ]; f = x: x; g = { y, z ? 1 }: y; h = 1.5; })
    (lib.generators.toPretty { multiline = false; } { a = [ 1 2 ]; })
    (lib.generators.toPretty { } "one\ntwo\n")
    (lib.generators.toPretty { } "one\ntwo")
    (lib.generators.toPretty { } { type = "derivation"; name = "x"; })
  ] [
    "{\n  a = 1;\n  b = [\n    \"x\"\n    null\n    true\n  ];\n  \"c d\" = { };\n  e = [ ];\n  f = <function>;\n  g = <function, args: {y, z?}>;\n  h = 1.5;\n}"
    "{ a = [ 1 2 ]; }"
    "''\n  one\n  two\n''"
    "''\n  one\n  two''"
    "<derivation x>"
  ];
}
