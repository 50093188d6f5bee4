# The inputs of a flake.nix, each `url` with what Nix reads in it. An argument of
# `outputs` is an input too, even where `inputs` does not name it.
parse: flake:
let
  arguments = builtins.mapAttrs (_: _: { }) (builtins.functionArgs flake.outputs);
  inputs = removeAttrs (arguments // (flake.inputs or { })) [ "self" ];
  # `parseFlakeRef` throws at relative paths, which cannot be caught. Versions of Nix
  # differ in how they read percent signs.
  isAbsolute = url: builtins.match "[^.%][^%]*" url != null;
in
builtins.mapAttrs (
  _: input:
  if parse && builtins ? parseFlakeRef && input ? url && isAbsolute input.url then
    input // { parsed = builtins.parseFlakeRef input.url; }
  else
    input
) inputs
