# Generators: values as text in some format.
{ lib }:
let
  inherit (builtins)
    concatStringsSep
    isAttrs
    isList
    isString
    typeOf
    ;
in
rec {
  toJSON = { }: builtins.toJSON;
  toYAML = toJSON;

  mkValueStringDefault =
    { }:
    v:
    if v == true then
      "true"
    else if v == false then
      "false"
    else if v == null then
      "null"
    else if builtins.isFloat v then
      lib.strings.floatToString v
    else if isString v || builtins.isInt v || lib.isDerivation v then
      toString v
    else
      throw "generators.mkValueStringDefault: ${typeOf v} not supported: ${toPretty { } v}";
  mkKeyValueDefault =
    {
      mkValueString ? mkValueStringDefault { },
    }:
    sep: k: v:
    "${lib.escape [ sep ] k}${sep}${mkValueString v}";
  toKeyValue =
    {
      mkKeyValue ? mkKeyValueDefault { } "=",
      listsAsDuplicateKeys ? false,
      indent ? "",
    }:
    let
      mkLine = k: v: indent + mkKeyValue k v + "\n";
      mkLines =
        if listsAsDuplicateKeys then
          k: v: map (mkLine k) (if isList v then v else [ v ])
        else
          k: v: [ (mkLine k v) ];
    in
    attrs: lib.concatStrings (lib.concatLists (lib.mapAttrsToList mkLines attrs));
  toINI =
    {
      mkSectionName ? (name: lib.escape [ "[" "]" ] name),
      mkKeyValue ? mkKeyValueDefault { } "=",
      listsAsDuplicateKeys ? false,
    }:
    attrs:
    concatStringsSep "\n" (
      lib.mapAttrsToList (
        name: values:
        "[${mkSectionName name}]\n" + toKeyValue { inherit mkKeyValue listsAsDuplicateKeys; } values
      ) attrs
    );

  # Limits the depth of a value, so that an error message can show any value.
  withRecursion =
    {
      depthLimit,
      throwOnDepthLimit ? true,
    }:
    assert builtins.isInt depthLimit;
    let
      special = [
        "__functor"
        "__functionArgs"
        "__toString"
        "__pretty"
      ];
      stop =
        if throwOnDepthLimit then
          throw "Exceeded maximum eval-depth limit of ${toString depthLimit} while trying to evaluate with `generators.withRecursion'!"
        else
          "<unevaluated>";
      at =
        depth: name: v:
        if builtins.elem name special then
          v
        else if depth > depthLimit then
          stop
        else if isAttrs v then
          lib.mapAttrs (at (depth + 1)) v
        else if isList v then
          map (at (depth + 1) "") v
        else
          v;
    in
    at 0 "";

  toPretty =
    {
      allowPrettyValues ? false,
      multiline ? true,
      indent ? "",
    }:
    let
      go =
        indent: v:
        let
          brk = if multiline then "\n${indent}  " else " ";
          end = if multiline then "\n${indent}" else " ";
          inner = if multiline then indent + "  " else indent;
        in
        if builtins.isInt v then
          toString v
        else if builtins.isFloat v then
          builtins.toJSON v
        else if isString v then
          string indent v
        else if v == true then
          "true"
        else if v == false then
          "false"
        else if v == null then
          "null"
        else if builtins.isPath v then
          toString v
        else if isList v then
          if v == [ ] then "[ ]" else "[" + brk + lib.concatMapStringsSep brk (go inner) v + end + "]"
        else if lib.isFunction v then
          function v
        else if isAttrs v then
          if allowPrettyValues && v ? __pretty && v ? val then
            v.__pretty v.val
          else if v == { } then
            "{ }"
          else if v ? type && v.type == "derivation" then
            "<derivation ${v.name or "???"}>"
          else
            "{"
            + brk
            + concatStringsSep brk (
              lib.mapAttrsToList (
                name: value:
                "${lib.strings.escapeNixIdentifier name} = ${builtins.addErrorContext "while evaluating an attribute `${name}`" (go inner value)};"
              ) v
            )
            + end
            + "}"
        else
          abort "generators.toPretty: should never happen (v = ${v})";
      function =
        v:
        let
          fargs = lib.functionArgs v;
          shown = lib.mapAttrsToList (name: hasDef: if hasDef then name + "?" else name) fargs;
        in
        if fargs == { } then "<function>" else "<function, args: {${concatStringsSep ", " shown}}>";
      string =
        indent: v:
        let
          lines = lib.filter isString (builtins.split "\n" v);
          escaped = map (builtins.replaceStrings [ "$\{" "''" ] [ "''\${" "'''" ]) lines;
          brk = "\n${indent}  ";
          # All but the last line, which is the part before the closing quotes.
          body = concatStringsSep brk (lib.init escaped);
        in
        if !multiline || builtins.length lines < 2 then
          lib.strings.escapeNixString v
        else if lib.last lines == "" then
          "''" + brk + body + "\n${indent}''"
        else
          "''" + brk + concatStringsSep brk escaped + "''";
    in
    go indent;
}
