# What all hosts share.
{
  # Every machine is partitioned alike and found by label.
  fileSystems."/" = {
    device = "/dev/disk/by-label/nixos";
    fsType = "ext4";
  };
  fileSystems."/boot" = {
    device = "/dev/disk/by-label/boot";
    fsType = "vfat";
  };
  boot.loader.systemd-boot.enable = true;

  # Without it amdgpu does not start, and there is no GPU to bench.
  hardware.enableRedistributableFirmware = true;

  users.users.porcupine = {
    isNormalUser = true;
    extraGroups = [
      "wheel"
      # /dev/kfd and /dev/dri, without which ROCm and Vulkan see no GPU.
      "render"
      "video"
    ];
  };

  # xtask benches on the host itself, and builds there where it is a builder.
  services.openssh.enable = true;
  nix.settings.experimental-features = [
    "nix-command"
    "flakes"
  ];
}
