//! Parses a machine's CPU from /proc/cpuinfo.
//!
//! Pure: no I/O, no clock.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

/// The two architectures of microarch.json.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Arch {
    #[serde(rename = "x86_64")]
    X86_64,
    #[serde(rename = "aarch64")]
    Aarch64,
}

impl Arch {
    /// Whether it can run programs of this Nix system.
    pub fn runs(self, system: &str) -> bool {
        match self {
            Self::X86_64 => system.starts_with("x86_64-") || system.starts_with("i686-"),
            Self::Aarch64 => system.starts_with("aarch64-"),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cpu {
    /// For display only. aarch64 kernels do not report it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    pub arch: Arch,
    /// For display only. All checks use the flags.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub microarch: Option<String>,
    #[serde(flatten)]
    pub identity: Identity,
    /// The flags in /proc/cpuinfo, which the CPU and the kernel support. On a hybrid CPU those
    /// that all processors have, because a thread may run on any of them.
    pub flags: BTreeSet<String>,
    /// Whether the list of flags is truncated, so that the CPU may have others.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub flags_cut: bool,
}

/// The CPU's vendor and model. Only used to break ties.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Identity {
    /// `GenuineIntel`, or an aarch64 implementer such as `0x41`.
    pub vendor: String,
    /// x86 only.
    pub family: u32,
    /// The model (x86) or part (aarch64).
    #[serde(rename = "modelNumber")]
    pub model: u32,
}

impl Cpu {
    /// Parses the content of /proc/cpuinfo.
    ///
    /// # Errors
    /// A sentence: the CPU's architecture is unknown or unsupported.
    pub fn parse(cpuinfo: &str) -> Result<Self, String> {
        let field = |wanted: &str| {
            cpuinfo.lines().filter_map(key_value).find(|(key, _)| *key == wanted).map(|(_, v)| v)
        };
        let number = |name: &str| {
            let text = field(name).unwrap_or_default();
            let (digits, radix) = text.strip_prefix("0x").map_or((text, 10), |hex| (hex, 16));
            u32::from_str_radix(digits, radix).unwrap_or_default()
        };
        if let Some(name) = unsupported(cpuinfo) {
            return Err(format!("its CPU is {name}, which llamafleet does not support"));
        }
        let (arch, flags) = if let Some(flags) = common(cpuinfo, "flags") {
            if !flags.contains("lm") {
                return Err("its CPU is 32-bit x86, which llamafleet does not support".to_owned());
            }
            (Arch::X86_64, flags)
        } else if let Some(flags) = common(cpuinfo, "Features") {
            if !flags.contains("asimd") {
                // A 32-bit kernel on a 64-bit CPU reports the same.
                let kind = match field("CPU implementer") {
                    Some(_) => "its CPU or its kernel is 32-bit ARM",
                    None => "its CPU is of another kind",
                };
                return Err(format!("{kind}, which llamafleet does not support"));
            }
            (Arch::Aarch64, flags)
        } else {
            let why = "its /proc/cpuinfo has neither `flags` (x86) nor `Features` (aarch64)";
            return Err(why.to_owned());
        };
        let is_x86 = arch == Arch::X86_64;
        let (vendor, model) =
            if is_x86 { ("vendor_id", "model") } else { ("CPU implementer", "CPU part") };
        let identity = Identity {
            vendor: field(vendor).unwrap_or_default().to_owned(),
            family: if is_x86 { number("cpu family") } else { 0 },
            model: number(model),
        };
        let model = field("model name").filter(|_| is_x86).map(str::to_owned);
        Ok(Self { model, arch, microarch: None, identity, flags, flags_cut: false })
    }
}

/// Returns the architecture if /proc/cpuinfo has the fields of an unsupported one.
fn unsupported(cpuinfo: &str) -> Option<&'static str> {
    const FIELDS: [(&str, &str, &str); 12] = [
        ("CPU Family", "loongson", "loongarch64"),
        ("cpu family", "loongson", "loongarch64"),
        ("isa", "rv64", "riscv64"),
        ("isa", "rv32", "riscv32"),
        ("cpu", "power", "ppc64"),
        ("vendor_id", "ibm/s390", "s390x"),
        // A PowerPC whose name is a number.
        ("timebase", "", "PowerPC"),
        ("cpu", "alpha", "alpha"),
        ("cpu model", "", "MIPS"),
        ("type", "sun4", "sparc64"),
        ("cpu family", "pa-risc", "PA-RISC"),
        ("arch", "ia-64", "Itanium"),
    ];
    let fields = || cpuinfo.lines().filter_map(key_value);
    let is = |(name, begin, _): &&(&str, &str, &str)| {
        fields().any(|(key, value)| key == *name && value.to_ascii_lowercase().starts_with(begin))
    };
    FIELDS.iter().find(is).map(|(.., architecture)| *architecture)
}

/// Returns the fields of each processor by number.
pub fn processors(cpuinfo: &str) -> BTreeMap<u32, HashMap<&str, &str>> {
    let mut processors: BTreeMap<u32, HashMap<&str, &str>> = BTreeMap::new();
    let mut current = None;
    for (key, value) in cpuinfo.lines().filter_map(key_value) {
        if key == "processor" {
            current = value.parse().ok();
        }
        if let Some(number) = current {
            processors.entry(number).or_default().insert(key, value);
        }
    }
    processors
}

fn key_value(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once(':')?;
    Some((key.trim(), value.trim()))
}

/// Returns the words that all lines with this key have in common.
fn common(cpuinfo: &str, wanted: &str) -> Option<BTreeSet<String>> {
    let mut sets = cpuinfo
        .lines()
        .filter_map(key_value)
        .filter(|(key, _)| *key == wanted)
        .map(|(_, words)| words.split_whitespace().map(str::to_owned).collect::<BTreeSet<_>>());
    let first = sets.next()?;
    Some(sets.fold(first, |common, set| &common & &set))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_x86_cpu_is_read_from_a_recording() {
        let cpu = Cpu::parse(include_str!("../../tests/fixtures/cpuinfo/zen5")).unwrap();
        assert_eq!(cpu.arch, Arch::X86_64);
        assert_eq!(cpu.model.as_deref(), Some("AMD EPYC"));
        let identity = Identity { vendor: "AuthenticAMD".into(), family: 26, model: 2 };
        assert_eq!(cpu.identity, identity);
        assert!(cpu.flags.contains("avx512_bf16"));
        assert!(!cpu.flags.contains("amx_tile"));
    }

    #[test]
    fn only_flags_of_every_processor_count() {
        let text = "processor: 0\nFeatures : fp asimd sve i8mm\nCPU implementer : 0x41\n\
                    CPU part : 0xd47\n\nprocessor: 1\nFeatures : fp asimd i8mm\n";
        let cpu = Cpu::parse(text).unwrap();
        assert_eq!(cpu.arch, Arch::Aarch64);
        assert_eq!(
            cpu.flags.iter().map(String::as_str).collect::<Vec<_>>(),
            ["asimd", "fp", "i8mm"]
        );
        assert_eq!((cpu.identity.vendor.as_str(), cpu.identity.model), ("0x41", 0xd47));
    }

    #[test]
    fn unsupported_cpus_are_rejected_by_name() {
        assert!(Cpu::parse("").unwrap_err().contains("neither"));
        assert!(Cpu::parse("flags : fpu sse").unwrap_err().contains("32-bit x86"));
        let arm = "Features : half thumb neon\nCPU implementer : 0x41";
        assert!(Cpu::parse(arm).unwrap_err().contains("32-bit ARM"));
        let loongson = include_str!("../../tests/fixtures/cpuinfo/loongson-3a5000");
        assert!(Cpu::parse(loongson).unwrap_err().contains("loongarch64"));
        // Fields as these kernels write them.
        for (text, architecture) in [
            ("CPU Family\t\t: Loongson-64bit\nFeatures\t\t: cpucfg lam fpu lsx", "loongarch64"),
            ("isa\t\t: rv64imafdcv_zicbom\nmmu\t\t: sv39", "riscv64"),
            ("cpu\t\t: POWER9, altivec supported\nclock\t\t: 2166MHz", "ppc64"),
            ("vendor_id       : IBM/S390\nfeatures\t: esan3 zarch", "s390x"),
            ("cpu\t\t: 7447A, altivec supported\ntimebase\t: 18432000", "PowerPC"),
            ("system type\t\t: MIPS Malta\ncpu model\t\t: ICT Loongson-3 V0.9", "MIPS"),
            ("cpu\t\t: SPARC-M7\ntype\t\t: sun4v", "sparc64"),
        ] {
            assert!(Cpu::parse(text).unwrap_err().contains(architecture), "{text}");
        }
    }
}
