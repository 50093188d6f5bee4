# The same board without a screen: self-hosted services.
{ pkgs, ... }:
{
  programs.llama-cpp = {
    enable = true;
    # The services leave no memory for the GPU to share.
    backend = "cpu";
    microarch = "znver4";
  };

  # `pkgs.llama-cpp-vulkan` has this host's CPU options too, to measure what the GPU
  # would gain.
  environment.systemPackages = [
    (pkgs.writeShellScriptBin "llama-bench-vulkan" ''
      exec ${pkgs.llama-cpp-vulkan}/bin/llama-bench "$@"
    '')
  ];

  system.stateVersion = "25.05";
}
