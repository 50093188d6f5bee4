# The revision, build number and version of a llama.cpp source.
#
# Upstream's build runs git, but a flake's source has no git history: without this, every
# llama-bench result would have commit "unknown" and build 0.
{
  lib,
  source,
  # From the fleet: revision -> build number, revision -> version of a release.
  builds ? { },
  releases ? { },
}:
let
  rev = source.rev or source.dirtyRev or "unknown";

  # A git+… input has a build number. A github: input does not, so it comes from the fleet
  # (`programs.llama-cpp.builds`) or, for the packages of this repository, from the tag in
  # flake.lock ("b10453", "v0.7.0") or from pin.json. Each applies only to its own revision:
  # `cargo xtask update` writes pin.json before flake.lock, with the numbers of the old and
  # the new revision.
  at = known: lib.optional (known ? ${rev}) known.${rev};
  pin = import ./fleet-state.nix ../..;

  fromTag =
    pattern:
    let
      # A copy of this folder may be in a flake without this input, or in no flake.
      lock = lib.optionalAttrs (builtins.pathExists ../../flake.lock) (lib.importJSON ../../flake.lock);
      name = lock.nodes.root.inputs.llama-cpp or "";
      node = if lib.isString name then lock.nodes.${name} or { } else { };
      found = builtins.match pattern (node.original.ref or "");
    in
    lib.optional (found != null && node.locked.rev == rev) (lib.head found);

  numbers = at builds ++ map lib.toInt (fromTag "b([0-9]+)") ++ at pin.builds;
  versions = at releases ++ fromTag "v([0-9]+[.][0-9]+[.][0-9]+)" ++ at pin.releases;
in
rec {
  inherit rev;
  commit = source.shortRev or source.dirtyShortRev or "unknown";
  build = source.revCount or (lib.head (numbers ++ [ 0 ]));
  # Null: not known to be a release.
  release = lib.head (versions ++ [ null ]);
  version =
    if release != null then
      release
    else if build == 0 then
      "0-unstable-${commit}"
    else
      toString build;
}
