# Returns the inputs of a flake.nix, with each `url` also parsed. An argument of `outputs` is an
# input too, even if `inputs` does not name it.
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
