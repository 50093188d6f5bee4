# The home-manager modules of this flake.
{
  self,
  lib ? self.inputs.nixpkgs.lib,
}:
rec {
  default = llama-cpp;

  llama-cpp = import ../shared/module.nix { inherit self lib; } {
    key = "llamafleet#homeModules.llama-cpp";
    class = "homeManager";
    file = ./llama-cpp.nix;
  };
}
