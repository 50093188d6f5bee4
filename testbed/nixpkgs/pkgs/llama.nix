# Nixpkgs' own llama-cpp and packages that depend on it, with Nixpkgs' argument names:
# an overlay that replaces `llama-cpp` has to suit them.
{ lib, pkgs }:
{
  llama-cpp = pkgs.callPackage ./llama-cpp.nix { };
  llama-cpp-vulkan = pkgs.llama-cpp.override { vulkanSupport = true; };
  llama-cpp-rocm = pkgs.llama-cpp.override { rocmSupport = true; };

  # A package with llama-cpp among its inputs, as llama-swap and ramalama are.
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
