# The llama.cpp source of a host: the one in flake.lock, or the earlier one to which
# `cargo xtask update --allow-partial` pinned this host.
{
  llama-cpp,
  fleet,
  host,
}:
let
  inherit (import ../../overlays/llama-cpp/fleet-state.nix fleet) pinnedHosts;
  pinned = pinnedHosts.${llama-cpp.rev or ""}.${host} or null;
in
# Pure, because it is locked. `dir` is not an argument of fetchTree.
if pinned == null then llama-cpp else builtins.fetchTree (removeAttrs pinned.locked [ "dir" ])
