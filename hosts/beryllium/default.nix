# The same board without a screen: self-hosted services.
{ pkgs, ... }:
{
  programs.llama-cpp = {
    enable = true;
    # The services leave no memory for the GPU to share.
    backend = "cpu";
    microarch = "znver4";
  };

  # To measure the gain of the GPU, use `pkgs.llama-cpp-vulkan`, which also has this host's CPU
  # options.
  environment.systemPackages = [
    (pkgs.writeShellScriptBin "llama-bench-vulkan" ''
      exec ${pkgs.llama-cpp-vulkan}/bin/llama-bench "$@"
    '')
  ];

  system.stateVersion = "25.05";
}
