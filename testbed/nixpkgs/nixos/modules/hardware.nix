# Firmware, microcode, graphics.
{ lib, pkgs, ... }:
let
  inherit (lib) mkEnableOption mkOption types;
  packages =
    description:
    mkOption {
      type = types.listOf types.package;
      default = [ ];
      inherit description;
    };
in
{
  options = {
    hardware = {
      enableRedistributableFirmware = mkEnableOption "firmware with a license allowing redistribution";
      enableAllFirmware = mkEnableOption "all firmware regardless of license";
      firmware = packages "Packages of firmware files.";
      cpu.amd.updateMicrocode = mkEnableOption "updates of the CPU microcode of AMD processors";
      cpu.intel.updateMicrocode = mkEnableOption "updates of the CPU microcode of Intel processors";
      graphics = {
        enable = mkEnableOption "hardware accelerated graphics drivers";
        enable32Bit = mkEnableOption "32-bit drivers for 32-bit applications";
        extraPackages = packages "Additional packages of the driver directory, OpenCL and Vulkan drivers for example.";
        extraPackages32 = packages "As extraPackages, for 32-bit applications.";
        package = mkOption {
          type = types.package;
          default = pkgs.mesa;
          defaultText = lib.literalExpression "pkgs.mesa";
          description = "The package that provides the default driver set.";
        };
      };
      nvidia = {
        open = mkOption {
          type = types.nullOr types.bool;
          default = null;
          description = "Whether to use the open source kernel module.";
        };
        branch = mkOption {
          type = types.str;
          default = "stable";
          description = "The branch of the NVIDIA driver to use.";
        };
        modesetting.enable = mkEnableOption "kernel modesetting with the NVIDIA driver";
        powerManagement.enable = mkEnableOption "experimental power management through systemd";
        nvidiaPersistenced = mkEnableOption "nvidia-persistenced, which keeps the GPU initialised";
        nvidiaSettings = mkEnableOption "nvidia-settings" // {
          default = true;
        };
        package = mkOption {
          type = types.nullOr types.package;
          default = null;
          description = "The NVIDIA driver package to use.";
        };
        prime = {
          offload.enable = mkEnableOption "render offload by NVIDIA Optimus PRIME";
          sync.enable = mkEnableOption "NVIDIA Optimus PRIME";
        }
        // lib.genAttrs [ "nvidiaBusId" "intelBusId" "amdgpuBusId" ] (
          _name:
          mkOption {
            type = types.str;
            default = "";
            description = "Bus ID of the card.";
          }
        );
      };
      amdgpu = {
        opencl.enable = mkEnableOption "OpenCL support using ROCm runtime library";
        initrd.enable = mkEnableOption "loading of the amdgpu kernel module in stage 1";
      };
      bluetooth.enable = mkEnableOption "support for Bluetooth";
      nvidia-container-toolkit.enable = mkEnableOption "dynamic CDI configuration for NVIDIA devices";
    };
    powerManagement.enable = mkEnableOption "power management" // {
      default = true;
    };
    powerManagement.cpuFreqGovernor = mkOption {
      type = types.nullOr types.str;
      default = null;
      description = "The governor that regulates the CPU's frequency.";
    };
  };
}
