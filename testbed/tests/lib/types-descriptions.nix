# Values of options without definitions, and descriptions of types.
helpers: with helpers; {
  emptyValues =
    equal
      (map
        (type: (lib.evalModules { modules = [ { options.a = mkOption { inherit type; }; } ]; }).config.a)
        [
          (types.listOf types.int)
          (types.attrsOf types.int)
          (types.nullOr types.int)
          types.attrs
        ]
      )
      [
        [ ]
        { }
        null
        { }
      ];
  noEmptyValue =
    equal
      (map
        (
          type:
          fails (lib.evalModules { modules = [ { options.a = mkOption { inherit type; }; } ]; }).config.a
        )
        [
          types.int
          types.lines
          (types.nonEmptyListOf types.int)
          (types.enum [ 1 ])
        ]
      )
      [
        true
        true
        true
        true
      ];
  descriptions =
    equal
      (map (t: t.description) [
        types.bool
        types.int
        types.ints.positive
        types.ints.u16
        types.str
        types.lines
        (types.enum [
          "a"
          "b"
        ])
        (types.enum [ "a" ])
        (types.listOf types.str)
        (types.listOf (types.nullOr types.str))
        (types.attrsOf types.int)
        (types.lazyAttrsOf types.int)
        (types.nullOr (types.listOf types.str))
        (types.either types.int types.str)
        (types.oneOf [
          types.int
          types.str
          types.bool
        ])
        (types.coercedTo types.int toString types.str)
        (types.functionTo types.int)
        types.path

        types.package
        types.raw
        types.anything
        (types.strMatching "a")
        (types.submodule { })
        types.deferredModule
        (types.nonEmptyListOf types.int)
        types.nonEmptyStr
        types.port
        (types.ints.between 1 2)
        types.unspecified
        types.attrs
        types.float
        types.number
        (types.uniq types.int)
      ])
      [
        "boolean"
        "signed integer"
        "positive integer, meaning >0"
        "16 bit unsigned integer; between 0 and 65535 (both inclusive)"
        "string"
        ''strings concatenated with "\n"''
        ''one of "a", "b"''
        ''value "a" (singular enum)''
        "list of string"
        "list of (null or string)"
        "attribute set of signed integer"
        "lazy attribute set of signed integer"
        "null or (list of string)"
        "signed integer or string"
        "signed integer or string or boolean"
        "string or signed integer convertible to it"
        "function that evaluates to a(n) signed integer"
        "absolute path"

        "package"
        "raw value"
        "anything"
        "string matching the pattern a"
        "submodule"
        "module"
        "non-empty (list of signed integer)"
        "non-empty string"
        "16 bit unsigned integer; between 0 and 65535 (both inclusive)"
        "integer between 1 and 2 (both inclusive)"
        "unspecified value"
        "attribute set"
        "floating point number"
        "signed integer or floating point number"
        "signed integer"
      ];
}
