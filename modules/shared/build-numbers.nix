# llama.cpp's build numbers, which `cargo xtask update` writes to the fleet.
fleet:
let
  file = fleet + "/overlays/llama-cpp/pin.json";
in
if fleet != null && builtins.pathExists file then
  (builtins.fromJSON (builtins.readFile file)).builds
else
  { }
