# Framework 13, Ryzen 7040: the laptop.
{
  programs.llama-cpp = {
    enable = true;
    # The Radeon 780M has no supported ROCm target; Vulkan drives it well.
    backend = "vulkan";
    microarch = "znver4";
  };

  # home/laptop.nix installs `pkgs.llama-cpp`, which is the variant above because
  # home-manager uses this host's pkgs.
  home-manager.users.porcupine = ../../home/laptop.nix;

  system.stateVersion = "25.05";
}
