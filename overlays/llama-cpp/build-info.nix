# The revision, build number and version of a llama.cpp source.
#
# Upstream's build asks git, but a flake's source has no git history: without this every
# llama-bench result would have commit "unknown" and build 0.
{
  lib,
  source,
  # From the fleet: revision -> build number.
  builds ? { },
}:
let
  rev = source.rev or source.dirtyRev or "unknown";

  # A git+… input has its number. A github: input does not, so it comes from the fleet
  # (`programs.llama-cpp.builds`) or, for the packages of this repository, from the tag in
  # flake.lock ("b10453") or from pin.json. Each applies only to its own revision:
  # `cargo xtask update` writes pin.json before flake.lock, with the numbers of the old and
  # the new revision.
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
      inherit (import ../../modules/shared/fleet-state.nix ../..) builds;
    in
    lib.optional (builds ? ${rev}) builds.${rev};
in
rec {
  inherit rev;
  commit = source.shortRev or source.dirtyShortRev or "unknown";
  build = source.revCount or (lib.head (fromFleet ++ fromTag ++ fromPin ++ [ 0 ]));
  version = if build == 0 then "0-unstable-${commit}" else toString build;
}
