# The NixOS modules of this flake.
{
  self,
  lib ? self.inputs.nixpkgs.lib,
}:
let
  module =
    name: file:
    import ../shared/module.nix { inherit self lib; } {
      key = "llamafleet#nixosModules.${name}";
      class = "nixos";
      inherit file;
    };
in
rec {
  default = llama-cpp;

  llama-cpp = module "llama-cpp" ./llama-cpp.nix;
  llama-cpp-settings = module "llama-cpp-settings" ./settings.nix;
}
