# The llama.cpp source of one host: the one in flake.lock, or the earlier one that
# `cargo xtask update --allow-partial` pinned this host to.
#
# held.json is keyed by the revision in flake.lock. When flake.lock changes by other means,
# the entries for the old revision no longer apply.
{
  llama-cpp,
  fleet,
  host,
}:
let
  inherit (builtins) fromJSON pathExists readFile;
  file = fleet + "/overlays/llama-cpp/held.json";
  held = if fleet != null && pathExists file then fromJSON (readFile file) else { holds = { }; };
  hold = held.holds.${llama-cpp.rev or ""}.${host} or null;
in
# Locked, so this is as pure as an input; `dir` is not for fetching.
if hold == null then llama-cpp else builtins.fetchTree (removeAttrs hold.locked [ "dir" ])
