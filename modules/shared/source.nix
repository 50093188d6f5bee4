# Which llama.cpp one host has: the one that flake.lock has, or the earlier one that
# `cargo xtask update --allow-partial` holds this host at.
#
# held.json is keyed by the revision that flake.lock has, and says nothing of another:
# whoever moves flake.lock, it never means what it was before.
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
