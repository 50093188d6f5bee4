# The home-manager modules of this flake.
{
  self,
  lib ? self.inputs.nixpkgs.lib,
}:
let
  # nixpkgs before 25.05 does not have it.
  importApply =
    lib.modules.importApply or (file: args: lib.setDefaultModuleLocation file (import file args));
in
rec {
  default = llama-cpp;

  # The key lets a user import the module twice; the class rejects it in NixOS.
  llama-cpp = {
    key = "llamafleet#homeModules.llama-cpp";
    _class = "homeManager";
    imports = [ (importApply ./llama-cpp.nix { inherit self; }) ];
  };
}
