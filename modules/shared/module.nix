# Wraps a module of this flake: the key allows importing it twice, and the class rejects it in
# another module system.
{ self, lib }:
{
  key,
  class,
  file,
}:
let
  # nixpkgs before 25.05 does not have it.
  importApply =
    lib.modules.importApply or (file: args: lib.setDefaultModuleLocation file (import file args));
in
{
  inherit key;
  # For the error about the class.
  _file = key;
  _class = class;
  imports = [ (importApply file { inherit self; }) ];
}
