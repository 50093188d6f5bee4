# Hardware profiles, with the options that fleets usually read.
rec {
  common-cpu-amd =
    { config, lib, ... }:
    {
      hardware.cpu.amd.updateMicrocode = lib.mkDefault config.hardware.enableRedistributableFirmware;
    };
  common-cpu-amd-pstate = {
    imports = [ common-cpu-amd ];
    boot.kernelParams = [ "amd_pstate=active" ];
  };
  common-cpu-intel =
    { config, lib, ... }:
    {
      imports = [ common-gpu-intel ];
      hardware.cpu.intel.updateMicrocode = lib.mkDefault config.hardware.enableRedistributableFirmware;
    };
  common-gpu-intel =
    { lib, ... }:
    {
      hardware.graphics.enable = lib.mkDefault true;
      boot.initrd.kernelModules = [ "i915" ];
    };
  common-gpu-amd =
    { lib, ... }:
    {
      hardware.graphics.enable = lib.mkDefault true;
      hardware.graphics.enable32Bit = lib.mkDefault true;
      hardware.amdgpu.initrd.enable = lib.mkDefault true;
      services.xserver.videoDrivers = lib.mkDefault [ "modesetting" ];
    };
  common-gpu-nvidia =
    { lib, ... }:
    {
      imports = [ common-gpu-nvidia-nonprime ];
      hardware.nvidia.prime.offload.enable = lib.mkOverride 990 true;
    };
  common-gpu-nvidia-nonprime =
    { lib, ... }:
    {
      hardware.graphics.enable = lib.mkDefault true;
      services.xserver.videoDrivers = lib.mkDefault [ "nvidia" ];
    };
  common-pc =
    { ... }:
    {
      boot.blacklistedKernelModules = [ ];
    };
  common-pc-laptop =
    { lib, ... }:
    {
      imports = [ common-pc ];
      services.tlp.enable = lib.mkDefault false;
    };
  common-pc-laptop-ssd = common-pc-ssd;
  common-pc-ssd =
    { lib, ... }:
    {
      services.fstrim.enable = lib.mkDefault true;
    };

  framework-13-7040-amd =
    { lib, ... }:
    {
      imports = [
        common-cpu-amd-pstate
        common-gpu-amd
        common-pc-laptop
        common-pc-laptop-ssd
      ];
      services.fwupd.enable = lib.mkDefault true;
      boot.kernelParams = [ "amdgpu.dcdebugmask=0x10" ];
    };
  framework-11th-gen-intel =
    { lib, ... }:
    {
      imports = [
        common-cpu-intel
        common-pc-laptop
        common-pc-laptop-ssd
      ];
      services.fwupd.enable = lib.mkDefault true;
    };
}
