# The home-manager modules of this flake.
{ self }:
rec {
  default = llama-cpp;

  # The key lets a module be imported twice, the file is what an error names, the
  # class says where it belongs: none of these can be told of a function.
  llama-cpp = {
    key = "llamafleet#homeModules.llama-cpp";
    _file = ./llama-cpp.nix;
    _class = "homeManager";
    imports = [ (import ./llama-cpp.nix { inherit self; }) ];
  };
}
