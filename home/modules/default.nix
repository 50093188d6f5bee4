# The home-manager modules of this flake.
{ self }:
rec {
  default = llama-cpp;
  llama-cpp = import ./llama-cpp.nix { inherit self; };
}
