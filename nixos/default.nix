# Configuration that all hosts share.
{
  # Every machine has the same partitions, found by label.
  fileSystems."/" = {
    device = "/dev/disk/by-label/nixos";
    fsType = "ext4";
  };
  fileSystems."/boot" = {
    device = "/dev/disk/by-label/boot";
    fsType = "vfat";
  };
  boot.loader.systemd-boot.enable = true;

  # amdgpu needs firmware; without it the host has no usable GPU.
  hardware.enableRedistributableFirmware = true;

  users.users.porcupine = {
    isNormalUser = true;
    extraGroups = [
      "wheel"
      # Access to /dev/kfd and /dev/dri, without which ROCm and Vulkan find no GPU.
      "render"
      "video"
    ];
  };

  # xtask runs benchmarks on the host, and can use it as a builder.
  services.openssh.enable = true;
  nix.settings.experimental-features = [
    "nix-command"
    "flakes"
  ];
}
