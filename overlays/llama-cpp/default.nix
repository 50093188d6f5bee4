# The overlay: llama.cpp from its own repository, one package per backend.
{ llama-cpp }:
let
  sources = import ./sources.nix { source = llama-cpp; };
in
final: prev:
let
  variants = import ./variant.nix {
    pkgs = final;
    source = llama-cpp;
    inherit sources;
  };
in
{
  inherit (variants) mkLlamaCpp;

  # nixpkgs' package, for comparison, even if this overlay is applied twice.
  llama-cpp-nixpkgs = prev.llama-cpp-nixpkgs or prev.llama-cpp;
}
// (
  # The module has set the host's variant, and the host's own overlays include this one too.
  if prev ? llamaCppSelection then
    { }
  else
    {
      # Portable: builds all CPU modules and loads the best one at start-up.
      llama-cpp-cpu = final.mkLlamaCpp { };
      llama-cpp-cuda = final.mkLlamaCpp { backends = [ "cuda" ]; };
      llama-cpp-rocm = final.mkLlamaCpp { backends = [ "rocm" ]; };
      llama-cpp-vulkan = final.mkLlamaCpp { backends = [ "vulkan" ]; };

      # On macOS, where a flake may apply the same overlays, nixpkgs' package, which has Metal.
      llama-cpp =
        if final.stdenv.hostPlatform.isLinux then final.llama-cpp-cpu else final.llama-cpp-nixpkgs;
    }
)
