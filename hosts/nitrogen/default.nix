# The LLM server: RTX 3080 Ti and Instinct MI50.
{
  programs.llama-cpp = {
    enable = true;
    # Both cards in one build, which needs ggml's loadable modules.
    backend = [
      "cuda"
      "rocm"
    ];
    cudaCapabilities = [ "8.6" ];
    rocmTargets = [ "gfx906" ];
    # The build has loadable modules in any case, and the board will be replaced:
    # select the CPU module at start-up.
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
