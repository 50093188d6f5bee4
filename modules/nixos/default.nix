# The NixOS modules of this flake.
{
  self,
  lib ? self.inputs.nixpkgs.lib,
}:
rec {
  default = llama-cpp;

  llama-cpp = import ../shared/module.nix { inherit self lib; } {
    key = "llamafleet#nixosModules.llama-cpp";
    class = "nixos";
    file = ./llama-cpp.nix;
  };
}
