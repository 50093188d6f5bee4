# The LLM server: RTX 3080 Ti and Instinct MI50.
{
  programs.llama-cpp = {
    enable = true;
    # Both cards in one binary, which ggml can do with loadable modules only.
    backend = [
      "cuda"
      "rocm"
    ];
    cudaCapabilities = [ "8.6" ];
    rocmTargets = [ "gfx906" ];
    # Modules are needed in any case, so the CPU may choose its own as well:
    # the board is next to be replaced.
    microarch = "dispatch";
  };

  # The NVIDIA driver and the CUDA libraries.
  nixpkgs.config.allowUnfree = true;
  services.xserver.videoDrivers = [
    "amdgpu"
    "nvidia"
  ];
  hardware.graphics.enable = true;
  hardware.nvidia.open = true;

  system.stateVersion = "25.05";
}
