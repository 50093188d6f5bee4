# One portable package per backend that the system can have, and the tool.
pkgs:
{
  default = pkgs.llama-cpp-cpu;
  inherit (pkgs) llama-cpp-cpu llama-cpp-cuda llama-cpp-vulkan;
  xtask = import ../nixos/xtask.nix pkgs;
}
// pkgs.lib.optionalAttrs (pkgs.stdenv.hostPlatform.system == "x86_64-linux") {
  inherit (pkgs) llama-cpp-rocm;
}
