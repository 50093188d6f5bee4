# The overlay of one host, with that host's llama.cpp source.
{ self }:
{ fleet, host }:
let
  inherit (self.inputs) llama-cpp;
  source = import ./source.nix { inherit llama-cpp fleet host; };
in
# Hosts that are not pinned have the same overlay, which filters the source once for all.
if fleet == null || source.outPath == llama-cpp.outPath then
  self.overlays.llama-cpp
else
  import ../../overlays/llama-cpp { llama-cpp = source; }
