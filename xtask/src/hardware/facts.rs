//! A machine's hardware as `probe` read it: the document hosts/NAME/facts.json, with which
//! `check` compares the host's variant.
//!
//! Pure: no I/O, no clock.

use serde::{Deserialize, Serialize};

use crate::hardware::cores::Cores;
use crate::hardware::cpu::Cpu;
use crate::hardware::gpu_targets::is_too_old;
use crate::hardware::microarch::Table;

const SCHEMA: u32 = 1;

/// Value of [`Gpu::vulkan`] if the GPU has a render node but vulkaninfo is not available.
pub const RENDER_NODE: &str = "render-node";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    pub schema: u32,
    pub host: String,
    pub cpu: Cpu,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cores: Option<Cores>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// Version of the Nix that is installed on the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nix_version: Option<String>,
    #[serde(default)]
    pub gpus: Vec<Gpu>,
    /// The GPUs could not be listed, so the machine may have some.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gpus_unknown: bool,
    /// nvidia-smi's error message, if it listed no GPU or could not read one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nvidia_smi: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Vendor {
    Nvidia,
    Amd,
    Intel,
    #[default]
    #[serde(other)]
    Other,
}

impl Vendor {
    /// Returns the vendor with this PCI ID. None for others, such as a server's display
    /// controller, which no backend supports.
    pub fn of_pci(id: u32) -> Option<Self> {
        match id {
            0x10de => Some(Self::Nvidia),
            0x1002 => Some(Self::Amd),
            0x8086 => Some(Self::Intel),
            _ => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Nvidia => "NVIDIA",
            Self::Amd => "AMD",
            Self::Intel => "Intel",
            Self::Other => "GPU",
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Gpu {
    pub vendor: Vendor,
    pub name: String,
    /// `VENDOR:DEVICE`, four hexadecimal digits each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pci: Option<String>,
    /// Such as `8.6`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cuda_capability: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// Such as `gfx906`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gfx_target: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vram_bytes: Option<u64>,
    /// The version that vulkaninfo reports, or `render-node` if vulkaninfo is not available and
    /// the kernel has a driver for the GPU. None if the GPU has no Vulkan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vulkan: Option<String>,
    /// Whether the GPU is a card, not a part of the processor. None if unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_discrete: Option<bool>,
    /// Whether the GPU uses the machine's memory.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unified_memory: bool,
    /// The memory of each MIG slice of the GPU.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mig_bytes: Vec<u64>,
    /// The GPU was only seen on the PCI bus: its capability, target and drivers are unknown.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unprobed: bool,
}

impl Gpu {
    pub fn new(vendor: Vendor, name: impl Into<String>) -> Self {
        Self { vendor, name: name.into(), ..Self::default() }
    }

    /// Whether the GPU uses one of the kernel's own NVIDIA drivers, which do not support CUDA.
    pub fn is_on_nouveau(&self) -> bool {
        matches!(self.driver.as_deref(), Some("nouveau" | "NovaCore"))
    }

    /// Whether llama.cpp is most likely faster on this GPU than on the CPU. Integrated Intel
    /// graphics rarely are.
    pub fn is_worth_using(&self) -> bool {
        match self.vendor {
            // If nvidia-smi fails, a render node does not show that Vulkan works.
            Vendor::Nvidia => {
                let is_listed = |vulkan: &String| vulkan != RENDER_NODE;
                let is_driven = |capability: &String| !is_too_old(capability);
                self.cuda_capability.as_ref().is_some_and(is_driven)
                    || self.vulkan.as_ref().is_some_and(is_listed)
            }
            Vendor::Amd => self.gfx_target.is_some() || self.vulkan.is_some(),
            Vendor::Intel => {
                let is_card = self.is_discrete.unwrap_or_else(|| self.name.contains("Arc"));
                self.vulkan.is_some() && is_card
            }
            Vendor::Other => self.vulkan.is_some() && self.is_discrete == Some(true),
        }
    }
}

impl Facts {
    /// Returns the facts of a machine of which only the CPU is known.
    pub fn new(host: &str, cpu: Cpu) -> Self {
        let microarch = Table::embedded().detect(&cpu).map(|detected| detected.name.to_owned());
        Self {
            schema: SCHEMA,
            host: host.to_owned(),
            cpu: Cpu { microarch, ..cpu },
            cores: None,
            memory_bytes: None,
            kernel: None,
            nix_version: None,
            gpus: vec![],
            gpus_unknown: false,
            nvidia_smi: None,
        }
    }

    /// Maximum file size in bytes. A machine with hundreds of CPUs needs a hundredth of it.
    pub const LARGEST: u64 = 4 << 20;

    /// Parses a facts.json.
    ///
    /// # Errors
    /// A sentence: what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let value: serde_json::Value =
            serde_json::from_str(text).map_err(|error| format!("it is not JSON ({error})"))?;
        match value["schema"].as_u64() {
            Some(schema) if schema == u64::from(SCHEMA) => {}
            Some(schema) => return Err(format!("its schema is {schema}, not {SCHEMA}")),
            None => return Err("it has no `schema`".to_owned()),
        }
        let mut facts: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        // A nixos-facter report has no kernel, and may have been read by a version that did not
        // recognize a truncated list.
        facts.cpu.flags_cut |=
            facts.kernel.is_none() && is_cut(facts.cpu.flags.iter().map(String::as_str));
        Ok(facts)
    }

    /// Formats the facts with the keys always in the same order, so that a diff shows what
    /// changed.
    ///
    /// # Errors
    /// Never with a value of this type.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self).map(|text| text + "\n")
    }

    /// Returns the CPU's name for messages.
    pub fn cpu_name(&self) -> &str {
        self.cpu.model.as_deref().unwrap_or("this CPU")
    }

    /// Returns the help of findings about unknown facts: how to probe the machine.
    pub fn probe_help(&self) -> String {
        let host = if self.host == "local" { "HOST" } else { &self.host };
        format!("run `cargo xtask probe {host} --write` once the machine is reachable")
    }

    /// Returns how much memory a model can use on this GPU. None if unknown.
    pub fn memory_of(&self, gpu: &Gpu) -> Option<u64> {
        let slice = gpu.mig_bytes.iter().max().copied();
        slice.or(if gpu.unified_memory { self.memory_bytes } else { gpu.vram_bytes })
    }

    pub fn gpus_of(&self, vendor: Vendor) -> impl Iterator<Item = &Gpu> {
        self.gpus.iter().filter(move |gpu| gpu.vendor == vendor)
    }
}

/// Whether these flags fill hwinfo's buffer of 1,024 bytes, or a larger power of two: then the
/// list was most likely truncated. A complete list of a virtual machine may have 512 bytes.
pub fn is_cut<'a>(words: impl Iterator<Item = &'a str>) -> bool {
    let bytes: usize = words.map(|word| word.len() + 1).sum();
    // Each word is followed by a space or the terminator.
    bytes >= 1023 && (bytes.is_power_of_two() || (bytes + 1).is_power_of_two())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        let cpu = Cpu::parse(include_str!("../../tests/fixtures/cpuinfo/zen5")).unwrap();
        let mut gpu = Gpu::new(Vendor::Nvidia, "NVIDIA T1200");
        gpu.cuda_capability = Some("7.5".into());
        Facts { gpus: vec![gpu], ..Facts::new("boron", cpu) }
    }

    #[test]
    fn facts_are_written_and_read_again() {
        let facts = facts();
        let text = facts.to_json().unwrap();
        assert_eq!(Facts::parse(&text).unwrap(), facts);
        assert!(text.starts_with("{\n  \"schema\": 1,\n  \"host\": \"boron\""), "{text}");
        assert!(text.contains("\"arch\": \"x86_64\"") && text.contains("\"vendor\": \"nvidia\""));
    }

    #[test]
    fn invalid_facts_are_rejected_with_a_sentence() {
        assert!(Facts::parse("{").unwrap_err().contains("not JSON"));
        assert!(Facts::parse("{}").unwrap_err().contains("no `schema`"));
        assert!(Facts::parse(r#"{"schema": 2}"#).unwrap_err().contains("schema is 2"));
        let without_cpu = r#"{"schema": 1, "host": "a"}"#;
        assert!(Facts::parse(without_cpu).unwrap_err().contains("`cpu`"));
    }

    /// Fields and a vendor that this version does not know.
    #[test]
    fn additions_of_later_versions_are_ignored() {
        let text = r#"{"schema": 1, "host": "a", "npu": {}, "cpu": {"arch": "aarch64", "flags": []},
            "gpus": [{"vendor": "apple", "name": "M9", "tops": 1}]}"#;
        let facts = Facts::parse(text).unwrap();
        assert_eq!(facts.gpus[0].vendor, Vendor::Other);
        assert!(!facts.gpus[0].is_worth_using());
    }
}
