# `pkgs.formats`: an option type and a generator for a file format.
{ lib, pkgs }:
let
  value =
    lib.types.nullOr (
      lib.types.oneOf [
        lib.types.bool
        lib.types.int
        lib.types.float
        lib.types.str
        lib.types.path
        (lib.types.attrsOf value)
        (lib.types.listOf value)
      ]
    )
    // {
      description = "JSON value";
    };
in
{
  json = _: {
    type = value;
    generate = name: content: pkgs.writeText name (builtins.toJSON content);
  };
  # Every JSON document is YAML.
  yaml = _: {
    type = value;
    generate = name: content: pkgs.writeText name (builtins.toJSON content);
  };
  keyValue = args: {
    type = lib.types.attrsOf value;
    generate =
      name: content:
      pkgs.writeText name (lib.generators.toKeyValue (removeAttrs args [ "listToValue" ]) content);
  };
  ini = args: {
    type = lib.types.attrsOf (lib.types.attrsOf value);
    generate = name: content: pkgs.writeText name (lib.generators.toINI args content);
  };
}
