# The overlays that other flakes use.
{ llama-cpp }:
let
  overlay = import ./llama-cpp { inherit llama-cpp; };
in
{
  default = overlay;
  llama-cpp = overlay;
}
