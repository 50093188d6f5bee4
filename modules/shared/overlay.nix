# The overlay of a host, with its llama.cpp source: `programs.llama-cpp.source`, or the fleet's.
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
# Hosts with the fleet's llama.cpp share one overlay, so that the source is filtered once.
if source == null && (fleet == null || chosen.outPath == llama-cpp.outPath) then
  self.overlays.llama-cpp
else
  import ../../overlays/llama-cpp { llama-cpp = chosen; }
