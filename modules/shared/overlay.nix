# The overlay of one host, with that host's llama.cpp source: its own, or the fleet's.
{ self }:
{
  fleet,
  host,
  source,
}:
let
  inherit (self.inputs) llama-cpp;
  chosen = if source != null then source else import ./source.nix { inherit llama-cpp fleet host; };
in
# Hosts of the fleet's llama.cpp have the same overlay, which filters the source once for all.
if source == null && (fleet == null || chosen.outPath == llama-cpp.outPath) then
  self.overlays.llama-cpp
else
  import ../../overlays/llama-cpp { llama-cpp = chosen; }
