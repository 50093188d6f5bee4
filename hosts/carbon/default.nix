# Framework 13, Ryzen 7040: the laptop.
{
  programs.llama-cpp = {
    enable = true;
    # The Radeon 780M has no supported ROCm target; Vulkan drives it well.
    backend = "vulkan";
    microarch = "znver4";
  };

  # Programs belong to the user here: home/laptop.nix asks for `pkgs.llama-cpp`
  # and gets the variant above, because home-manager uses this host's pkgs.
  home-manager.users.porcupine = ../../home/laptop.nix;

  system.stateVersion = "25.05";
}
