# Tiger Lake laptop with an NVIDIA T1200.
{
  programs.llama-cpp = {
    enable = true;
    backend = "cuda";
    # AVX-512 with VBMI and VNNI, no BF16, no AMX.
    microarch = "tigerlake";
    # Turing: compile the CUDA code for one architecture instead of nine.
    cudaCapabilities = [ "7.5" ];
  };

  # The driver and the CUDA libraries.
  nixpkgs.config.allowUnfree = true;
  services.xserver.videoDrivers = [ "nvidia" ];
  hardware.graphics.enable = true;
  hardware.nvidia.open = true;

  system.stateVersion = "25.05";
}
