# The llama.cpp source of one host: the one in flake.lock, or the earlier one that
# `cargo xtask update --allow-partial` pinned this host to.
{
  llama-cpp,
  fleet,
  host,
}:
let
  inherit (import ../../overlays/llama-cpp/fleet-state.nix fleet) pinnedHosts;
  pinned = pinnedHosts.${llama-cpp.rev or ""}.${host} or null;
in
# Locked, so this is as pure as an input. `dir` is not an argument of fetchTree.
if pinned == null then llama-cpp else builtins.fetchTree (removeAttrs pinned.locked [ "dir" ])
