# `services.llama-cpp` as an earlier nixpkgs has it, in the testbed.
{ modulesPath, ... }:
{
  disabledModules = [ "llama-cpp.nix" ];
  imports = [ "${modulesPath}/llama-cpp-flags.nix" ];
}
