# Nixpkgs' llama-cpp and packages that depend on it, with Nixpkgs' argument names. An overlay that
# replaces `llama-cpp` must be compatible with them.
{ lib, pkgs }:
{
  llama-cpp = pkgs.callPackage ./llama-cpp.nix { };
  llama-cpp-vulkan = pkgs.llama-cpp.override { vulkanSupport = true; };
  llama-cpp-rocm = pkgs.llama-cpp.override { rocmSupport = true; };

  # A package that depends on llama-cpp, such as llama-swap or ramalama.
  llama-swap = pkgs.callPackage (
    { stdenvNoCC, llama-cpp }:
    stdenvNoCC.mkDerivation {
      pname = "llama-swap";
      version = "170";
      buildCommand = ''
        mkdir -p "$out/share"
        echo ${llama-cpp} >"$out/share/llama-cpp"
      '';
      passthru = { inherit llama-cpp; };
      meta = {
        description = "Stand-in for a dependent of llama-cpp";
        mainProgram = "llama-swap";
      };
    }
  ) { };
}
