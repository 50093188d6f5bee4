# `services.llama-cpp` of an earlier nixpkgs, in the testbed.
{ modulesPath, ... }:
{
  disabledModules = [ "llama-cpp.nix" ];
  imports = [ "${modulesPath}/llama-cpp-flags.nix" ];
}
