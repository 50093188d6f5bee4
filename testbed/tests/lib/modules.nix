# evalModules: finding modules, and their arguments.
helpers:
with helpers;
let
  strings = {
    options.s = option (types.listOf types.str);
  };
in
{
  shorthand =
    equal
      (eval [
        { options.a = option types.int; }
        { a = 1; }
      ]).config
      { a = 1; };
  function =
    equal
      (eval [
        (
          {
            config,
            lib,
            options,
            ...
          }:
          {
            options.a = lib.mkOption { default = 1; };
            options.b = lib.mkOption { default = config.a + (if options.a.isDefined then 1 else 0); };
          }
        )
      ]).config
      {
        a = 1;
        b = 2;
      };
  # The merge order of definitions in imported and listed modules.
  definitionOrder =
    equal
      (eval [
        strings
        {
          imports = [
            { s = [ "import1" ]; }
            { s = [ "import2" ]; }
          ];
          s = [ "own" ];
        }
        { s = [ "second" ]; }
      ]).config.s
      [
        "import2"
        "import1"
        "second"
        "own"
      ];
  nestedImports =
    equal
      (eval [
        strings
        {
          imports = [
            {
              imports = [ { s = [ "deep" ]; } ];
              s = [ "mid" ];
            }
          ];
          s = [ "top" ];
        }
      ]).config.s
      [
        "deep"
        "mid"
        "top"
      ];
  importsOnceByKey =
    equal
      (eval [
        strings
        {
          key = "k";
          s = [ "x" ];
        }
        {
          key = "k";
          s = [ "x" ];
        }
      ]).config.s
      [ "x" ];
  anonymousTwice =
    equal
      (eval [
        strings
        { s = [ "x" ]; }
        { s = [ "x" ]; }
      ]).config.s
      [
        "x"
        "x"
      ];
  disabledModules =
    equal
      (eval [
        strings
        {
          key = "k";
          s = [ "x" ];
        }
        {
          disabledModules = [ { key = "k"; } ];
          s = [ "y" ];
        }
      ]).config.s
      [ "y" ];
  disabledTakesItsImports =
    equal
      (eval [
        strings
        {
          key = "k";
          imports = [ { s = [ "below" ]; } ];
        }
        {
          disabledModules = [ { key = "k"; } ];
          s = [ "y" ];
        }
      ]).config.s
      [ "y" ];
  specialArgsInImports =
    equal
      (lib.evalModules {
        specialArgs.extra = {
          s = [ "e" ];
        };
        modules = [
          strings
          ({ extra, ... }: { imports = [ extra ]; })
        ];
      }).config.s
      [ "e" ];
  moduleArgs =
    equal
      (eval [
        {
          options.a = option types.int;
          config._module.args.n = 3;
        }
        ({ n, ... }: { a = n; })
      ]).config.a
      3;
  moduleArgsByName =
    equal
      (eval [
        {
          options.a = option types.int;
          config._module.args.n = 3;
        }
        (
          args@{ n, ... }:
          {
            a = args.n;
          }
        )
      ]).config.a
      3;
  moduleArgDefaultIsIgnored =
    equal
      (eval [
        {
          options.a = option types.int;
          config._module.args.n = 3;
        }
        (
          {
            n ? 7,
            ...
          }:
          {
            a = n;
          }
        )
      ]).config.a
      3;
  missingModuleArg =
    equal
      (builtins.tryEval
        (eval [
          { options.a = option types.int; }
          ({ lib, ... }: { a = 1; })
        ]).config.a
      ).value
      1;
  configHidesModule = equal (builtins.attrNames (eval [ strings ]).config) [ "s" ];
}
