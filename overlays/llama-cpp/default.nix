# The overlay: llama.cpp from its own repository, one package per backend.
{ llama-cpp }:
final: prev:
let
  variants = import ./variant.nix {
    pkgs = final;
    source = llama-cpp;
  };
in
{
  inherit (variants) mkLlamaCpp;

  # Portable: every CPU module is built, and the best is chosen at start-up.
  llama-cpp-cpu = final.mkLlamaCpp { };
  llama-cpp-cuda = final.mkLlamaCpp { backends = [ "cuda" ]; };
  llama-cpp-rocm = final.mkLlamaCpp { backends = [ "rocm" ]; };
  llama-cpp-vulkan = final.mkLlamaCpp { backends = [ "vulkan" ]; };

  # A host's module puts that host's variant here.
  llama-cpp = final.llama-cpp-cpu;

  # nixpkgs' own, to compare with, also where this overlay is applied twice.
  llama-cpp-nixpkgs = prev.llama-cpp-nixpkgs or prev.llama-cpp;
}
