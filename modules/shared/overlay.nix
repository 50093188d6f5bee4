# The overlay of one host, with that host's llama.cpp source.
{ self }:
{ fleet, host }:
if fleet == null then
  self.overlays.llama-cpp
else
  import ../../overlays/llama-cpp {
    llama-cpp = import ./source.nix {
      inherit (self.inputs) llama-cpp;
      inherit fleet host;
    };
  }
