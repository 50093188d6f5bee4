# Boot loader, kernel, initrd, file systems.
{
  config,
  lib,
  ...
}:
let
  inherit (lib) mkEnableOption mkOption types;
  cfg = config.boot.loader;
  strings =
    description:
    mkOption {
      type = types.listOf types.str;
      default = [ ];
      inherit description;
    };
in
{
  options = {
    boot = {
      loader = {
        systemd-boot.enable = mkEnableOption "the systemd-boot (formerly gummiboot) EFI boot manager";
        systemd-boot.configurationLimit = mkOption {
          type = types.nullOr types.int;
          default = null;
          description = "Maximum number of generations in the boot menu.";
        };
        efi.canTouchEfiVariables = mkEnableOption "the installation's use of EFI variables";
        efi.efiSysMountPoint = mkOption {
          type = types.str;
          default = "/boot";
          description = "Where the EFI System Partition is mounted.";
        };
        generic-extlinux-compatible.enable = mkEnableOption "extlinux.conf, which U-Boot and others read";
        grub.enable = mkEnableOption "the GNU GRUB boot loader" // {
          default = true;
        };
        grub.efiSupport = mkEnableOption "GRUB on a system with EFI";
        grub.device = mkOption {
          type = types.str;
          default = "";
          description = "The device on which GRUB is installed.";
        };
        timeout = mkOption {
          type = types.nullOr types.int;
          default = 5;
          description = "Seconds until the loader boots the default menu item.";
        };
      };
      initrd = {
        availableKernelModules = strings "Kernel modules that the initial ramdisk has for use.";
        kernelModules = strings "Kernel modules that the initial ramdisk loads.";
        luks.devices = mkOption {
          type = types.attrsOf types.attrs;
          default = { };
          description = "Encrypted devices to open early.";
        };
      };
      kernelModules = strings "Kernel modules loaded in the second stage of boot.";
      blacklistedKernelModules = strings "Kernel modules that are not loaded automatically.";
      kernelParams = strings "Parameters added to the kernel command line.";
      kernelPackages = mkOption {
        type = types.raw;
        default = { };
        description = "The kernel and its modules.";
      };
      extraModulePackages = mkOption {
        type = types.listOf types.package;
        default = [ ];
        description = "Packages of additional kernel modules.";
      };
      kernel.sysctl = mkOption {
        type = types.attrsOf (
          types.nullOr (
            types.oneOf [
              types.int
              types.str
              types.bool
            ]
          )
        );
        default = { };
        description = "Kernel parameters set at run time.";
      };
      tmp.useTmpfs = mkEnableOption "a tmpfs on /tmp";
    };
    fileSystems = mkOption {
      type = types.attrsOf (
        types.submodule (
          { name, ... }:
          {
            options = {
              mountPoint = mkOption {
                type = types.str;
                default = name;
                description = "Where the file system is mounted.";
              };
              device = mkOption {
                type = types.nullOr types.str;
                default = null;
                description = "The device as passed to mount.";
              };
              label = mkOption {
                type = types.nullOr types.str;
                default = null;
                description = "Label of the device.";
              };
              fsType = mkOption {
                type = types.str;
                default = "auto";
                description = "Type of the file system.";
              };
              options = strings "Options used to mount the file system." // {
                default = [ "defaults" ];
              };
              neededForBoot = mkEnableOption "mounting in the initial ramdisk";
            };
          }
        )
      );
      default = { };
      description = "The file systems to be mounted.";
    };
    swapDevices = mkOption {
      type = types.listOf (
        types.submodule {
          options.device = mkOption {
            type = types.str;
            description = "Path of the device or swap file.";
          };
          options.size = mkOption {
            type = types.nullOr types.int;
            default = null;
            description = "Size of the swap file in MiB.";
          };
        }
      );
      default = [ ];
      description = "The swap devices.";
    };
  };

  config = {
    boot.loader.grub.enable = lib.mkIf cfg.systemd-boot.enable (lib.mkDefault false);
    assertions = [
      {
        assertion = config.fileSystems ? "/";
        message = "The ‘fileSystems’ option does not specify your root file system.";
      }
      {
        assertion = cfg.grub.enable -> cfg.grub.device != "";
        message = "You must set the option ‘boot.loader.grub.devices’ or 'boot.loader.grub.mirroredBoots' to make the system bootable.";
      }
    ];
  };
}
