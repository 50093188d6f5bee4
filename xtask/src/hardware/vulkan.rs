//! Parses vulkaninfo's list of GPUs.
//!
//! Pure: no I/O, no clock.

use crate::hardware::facts::{Gpu, Vendor};

/// A GPU in the output of `vulkaninfo --summary`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    pub vendor: u32,
    pub device: u32,
    pub is_discrete: Option<bool>,
    pub name: String,
    /// The supported version of Vulkan.
    pub version: String,
}

/// Returns all GPUs, without software renderers (llvmpipe).
pub fn devices(text: &str) -> Vec<Device> {
    let mut blocks: Vec<Vec<(&str, &str)>> = vec![];
    for line in text.lines() {
        if is_heading(line) {
            blocks.push(vec![]);
        } else if let Some(block) = blocks.last_mut()
            && let Some((key, value)) = line.split_once('=')
        {
            block.push((key.trim(), value.trim()));
        }
    }
    blocks.iter().filter_map(|block| device(block)).collect()
}

/// Whether a line is a heading such as `GPU0:`.
fn is_heading(line: &str) -> bool {
    let number = line.trim_end().strip_prefix("GPU").and_then(|rest| rest.strip_suffix(':'));
    number.is_some_and(|number| number.parse::<u32>().is_ok())
}

fn device(block: &[(&str, &str)]) -> Option<Device> {
    let field = |name: &str| block.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
    // Such as `0x1002 (AMD)`.
    let number = |name: &str| {
        let word = field(name)?.split_whitespace().next()?;
        u32::from_str_radix(word.strip_prefix("0x")?, 16).ok()
    };
    // Has the prefix `PHYSICAL_DEVICE_TYPE_` since 1.2.148.
    let kind = field("deviceType").unwrap_or_default();
    if kind.ends_with("CPU") {
        return None;
    }
    // Was `4198616 (1.1.216)` before 1.2.170.
    let version = field("apiVersion").unwrap_or("vulkan");
    let version = version.split_once('(').map_or(version, |(_, version)| version);
    Some(Device {
        vendor: number("vendorID")?,
        device: number("deviceID")?,
        is_discrete: match kind {
            kind if kind.ends_with("DISCRETE_GPU") => Some(true),
            kind if kind.ends_with("INTEGRATED_GPU") => Some(false),
            _ => None,
        },
        name: field("deviceName").unwrap_or("GPU").to_owned(),
        version: version.trim_end_matches(')').to_owned(),
    })
}

impl Device {
    /// Converts a GPU that only Vulkan lists, because it is not on PCI or is behind a hypervisor.
    pub fn gpu(&self) -> Gpu {
        let vendor = Vendor::of_pci(self.vendor).unwrap_or(Vendor::Other);
        Gpu {
            vulkan: Some(self.version.clone()),
            is_discrete: self.is_discrete,
            ..Gpu::new(vendor, &*self.name)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUMMARY: &str = "\
Devices:
========
GPU0:
\tapiVersion         = 1.4.318
\tvendorID           = 0x1002
\tdeviceID           = 0x744c
\tdeviceType         = PHYSICAL_DEVICE_TYPE_DISCRETE_GPU
\tdeviceName         = AMD Radeon RX 7900 GRE (RADV NAVI31)
GPU1:
\tvendorID           = 0x10005
\tdeviceID           = 0x0000
\tdeviceType         = PHYSICAL_DEVICE_TYPE_CPU
\tdeviceName         = llvmpipe (LLVM 19.1.7, 256 bits)
";

    #[test]
    fn a_software_renderer_is_not_a_gpu() {
        let found = devices(SUMMARY);
        let [gpu] = &found[..] else { panic!("{found:?}") };
        assert_eq!((gpu.vendor, gpu.device, gpu.is_discrete), (0x1002, 0x744c, Some(true)));
        assert_eq!(gpu.version, "1.4.318");
        assert_eq!(devices(&SUMMARY.replace("PHYSICAL_DEVICE_TYPE_", "")), found);
    }

    /// The format of Vulkan-Tools 1.2.
    #[test]
    fn the_number_format_of_earlier_versions_is_read() {
        let text = "GPU0:\n\tapiVersion     = 4198616 (1.1.216)\n\tvendorID       = 0x10de (NVIDIA)\n\
                    \tdeviceID       = 0x174d\n\tdeviceType     = INTEGRATED_GPU\n";
        let [gpu] = &devices(text)[..] else { panic!() };
        assert_eq!((gpu.vendor, gpu.device, gpu.is_discrete), (0x10de, 0x174d, Some(false)));
        assert_eq!(gpu.version, "1.1.216");
    }
}
