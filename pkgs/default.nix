# This flake's packages: one portable llama.cpp for each backend that the system supports,
# and xtask.
pkgs:
{
  default = pkgs.llama-cpp-cpu;
  inherit (pkgs) llama-cpp-cpu llama-cpp-cuda llama-cpp-vulkan;
  xtask = pkgs.callPackage ./xtask/package.nix { };
}
// pkgs.lib.optionalAttrs (pkgs.stdenv.hostPlatform.system == "x86_64-linux") {
  inherit (pkgs) llama-cpp-rocm;
}
