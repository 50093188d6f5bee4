//! GPUs as PCI devices: the vendor, the device and the driver, from a running kernel or from a
//! hardware report.
//!
//! Pure: no I/O, no clock.

use crate::hardware::facts::{Gpu, Vendor};

/// A PCI device of the class display controller or accelerator.
#[derive(Debug, Default)]
pub struct Device {
    /// Such as `0x030200`; 0 if unknown.
    pub class: u32,
    pub vendor: u32,
    pub device: u32,
    /// None if no driver is bound.
    pub driver: Option<String>,
    pub name: Option<String>,
}

pub const AMD: u32 = 0x1002;

/// Drivers that reserve a device for virtual machines.
const PASSED_THROUGH: [&str; 5] =
    ["nvidia-vgpu-vfio", "pci-stub", "pciback", "vfio-pci", "xen-pciback"];

/// Device IDs of Intel's cards (DG1, Alchemist, Flex, Battlemage), from the kernel's
/// include/drm/intel/pciids.h. Other Intel GPUs are integrated.
const INTEL_CARDS: [std::ops::RangeInclusive<u32>; 4] =
    [0x4905..=0x4909, 0x4f80..=0x4f88, 0x5690..=0x56c2, 0xe200..=0xe2ff];

impl Device {
    pub fn ids(&self) -> (u32, u32) {
        (self.vendor, self.device)
    }

    /// Whether the GPU most likely has Vulkan if it has a render node: radeon has no Vulkan, and
    /// nouveau has it for some GPUs only.
    pub fn has_vulkan_driver(&self) -> bool {
        !matches!(self.driver.as_deref(), Some("radeon" | "nouveau" | "NovaCore"))
    }

    /// Converts the device into a GPU. None if no backend can use it: a server's display
    /// controller, an NPU, or a GPU that is reserved for a virtual machine.
    pub fn gpu(&self) -> Option<Gpu> {
        let vendor = Vendor::of_pci(self.vendor)?;
        let driver = self.driver.as_ref().map(|driver| driver.replace('_', "-"));
        if driver.is_some_and(|driver| PASSED_THROUGH.contains(&driver.as_str())) {
            return None;
        }
        // Intel's accelerators are NPUs, AMD's are GPUs.
        if vendor == Vendor::Intel && self.class >> 16 == 0x12 {
            return None;
        }
        let pci = format!("{:04x}:{:04x}", self.vendor, self.device);
        let name = self.name.clone().unwrap_or_else(|| format!("{} {pci}", vendor.name()));
        let is_card = INTEL_CARDS.iter().any(|range| range.contains(&self.device));
        Some(Gpu {
            pci: Some(pci),
            driver: self.driver.clone(),
            is_discrete: (vendor == Vendor::Intel).then_some(is_card),
            ..Gpu::new(vendor, name)
        })
    }
}
