# The same board without a screen: self-hosted services.
{ pkgs, ... }:
{
  programs.llama-cpp = {
    enable = true;
    # The services leave no memory for the GPU to share.
    backend = "cpu";
    microarch = "znver4";
  };

  # `pkgs.llama-cpp-vulkan` has this host's CPU options as well: what would the
  # GPU bring, if it were free?
  environment.systemPackages = [
    (pkgs.writeShellScriptBin "llama-bench-vulkan" ''
      exec ${pkgs.llama-cpp-vulkan}/bin/llama-bench "$@"
    '')
  ];

  system.stateVersion = "25.05";
}
