# Which llama.cpp this is.
#
# Upstream asks git, and there is no git history in a flake's source: without
# this every llama-bench result would carry commit "unknown", build 0.
{
  lib,
  source,
  # What the fleet itself knows: revision -> number.
  builds ? { },
}:
let
  rev = source.rev or source.dirtyRev or "unknown";

  # A git+… input knows its number. A github: one does not, so the fleet
  # (`programs.llama-cpp.builds`), or where the fleet is this repository the lock's tag
  # ("b10453") or pin.json says it, each only as long as it is about this very
  # revision. `cargo xtask update` writes pin.json before it moves flake.lock, with the
  # numbers of both revisions: whichever is locked has its own.
  fromFleet = lib.optional (builds ? ${rev}) builds.${rev};

  fromTag =
    let
      lock = lib.importJSON ../../flake.lock;
      node = lock.nodes.${lock.nodes.root.inputs.llama-cpp};
      number = builtins.match "b([0-9]+)" (node.original.ref or "");
    in
    lib.optional (number != null && node.locked.rev == rev) (lib.toInt (lib.head number));

  fromPin =
    let
      inherit (lib.importJSON ./pin.json) builds;
    in
    lib.optional (builds ? ${rev}) builds.${rev};
in
rec {
  inherit rev;
  commit = source.shortRev or source.dirtyShortRev or "unknown";
  build = source.revCount or (lib.head (fromFleet ++ fromTag ++ fromPin ++ [ 0 ]));
  version = if build == 0 then "0-unstable-${commit}" else toString build;
}
