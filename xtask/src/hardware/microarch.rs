//! The microarchitecture table, and which of its rows a CPU can run. Nix reads the
//! same file: overlays/llama-cpp/microarch.nix.
//!
//! Pure: no I/O, no clock.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde::Deserialize;

use crate::hardware::cpu::{Arch, Cpu, Identity};

/// All microarchitectures in one package, one chosen at start-up: it runs anywhere.
pub const DISPATCH: &str = "dispatch";

/// aarch64 has one option for all its features.
const ARM_ARCH: &str = "GGML_CPU_ARM_ARCH";

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let text = include_str!("../../../overlays/llama-cpp/microarch.json");
    serde_json::from_str(text).expect("the tests read every row of microarch.json")
});

#[derive(Debug, Clone, Deserialize)]
pub struct Table {
    x86_64: Section,
    aarch64: Section,
}

#[derive(Debug, Clone, Deserialize)]
struct Section {
    features: BTreeMap<String, Feature>,
    microarchs: BTreeMap<String, Row>,
}

#[derive(Debug, Clone, Deserialize)]
struct Feature {
    /// The CMake option; aarch64's features go into one option together.
    cmake: Option<String>,
    /// All of these must be in /proc/cpuinfo.
    cpuinfo: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
struct Row {
    /// aarch64 only, as GCC's -march takes it: `armv8.2-a`.
    #[serde(default)]
    arch: String,
    features: Vec<String>,
    /// The CPUs of this name, `VENDOR FAMILY MODEL…` (x86) or `IMPLEMENTER PART…`, as
    /// /proc/cpuinfo has them but in hexadecimal, a range as `00-2f`. None: many CPUs have
    /// this name, or another row has the CPUs.
    #[serde(default)]
    cpus: Vec<String>,
}

impl Row {
    /// ggml has no code for AVX-VNNI where AVX-512 VNNI is on.
    fn useful_features(&self) -> usize {
        let has = |name: &str| self.features.iter().any(|feature| feature == name);
        self.features.len() - usize::from(has("AVX512_VNNI") && has("AVX_VNNI"))
    }

    fn is_by(&self, vendor: &str) -> bool {
        self.cpus.iter().any(|cpu| cpu.split(' ').next() == Some(vendor))
    }

    /// The lowest family and model that it names. ARM's numbers say nothing of a CPU's age.
    fn oldest(&self, arch: Arch) -> Option<(u32, u32)> {
        if arch == Arch::Aarch64 {
            return None;
        }
        let numbers = |entry: &String| {
            let (_, numbers) = entry.split_once(' ')?;
            let (family, models) = numbers.split_once(' ')?;
            let models = models.split([' ', '-']).filter_map(hex);
            Some((hex(family)?, models.min()?))
        };
        self.cpus.iter().filter_map(numbers).min()
    }

    fn names(&self, arch: Arch, cpu: &Identity) -> bool {
        self.cpus.iter().any(|entry| {
            let mut words = entry.split(' ');
            let is_maker = words.next() == Some(cpu.vendor.as_str());
            let is_family = arch == Arch::Aarch64 || words.next().and_then(hex) == Some(cpu.family);
            let is_model = |word: &str| {
                let (first, last) = word.split_once('-').unwrap_or((word, word));
                hex(first) <= Some(cpu.model) && Some(cpu.model) <= hex(last)
            };
            is_maker && is_family && words.any(is_model)
        })
    }
}

fn hex(text: &str) -> Option<u32> {
    u32::from_str_radix(text, 16).ok()
}

/// The row that suits a CPU best.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Detected<'a> {
    pub name: &'a str,
    /// False: the name of another CPU with the same instruction sets.
    pub is_own: bool,
}

impl std::fmt::Display for Detected<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let closest = if self.is_own { "" } else { "closest: the same instruction sets as " };
        write!(f, "{closest}{}", self.name)
    }
}

impl Table {
    /// The table that is compiled in.
    pub fn embedded() -> &'static Self {
        &TABLE
    }

    /// Returns the row with most useful features of those that this CPU has in full. Of equal
    /// rows, the CPU's own by vendor, family and model; then a generic one; then one of the
    /// same vendor; then the one of the lowest architecture level; then the one of the lowest
    /// family and model, which is the oldest. None where the list of flags is cut, unless the row
    /// is the CPU's own.
    pub fn detect(&self, cpu: &Cpu) -> Option<Detected<'_>> {
        let rows = self.section(cpu.arch).microarchs.iter();
        let runs = |name: &str| self.missing(name, cpu).is_some_and(|missing| missing.is_empty());
        let (name, row) = rows.filter(|(name, _)| runs(name)).min_by_key(|(name, row)| {
            (
                Reverse(row.useful_features()),
                !row.names(cpu.arch, &cpu.identity),
                !is_generic(name),
                !row.is_by(&cpu.identity.vendor),
                &row.arch,
                row.oldest(cpu.arch),
                *name,
            )
        })?;
        // What else it has may be in the part that is cut off.
        if cpu.flags_cut && !row.names(cpu.arch, &cpu.identity) {
            return None;
        }
        let is_own = is_generic(name) || row.names(cpu.arch, &cpu.identity);
        Some(Detected { name, is_own })
    }

    /// The rows that name the CPU with these numbers. They may tell several apart: Intel's
    /// Xeons of three generations have one model number.
    pub fn own_names(&self, arch: Arch, cpu: &Identity) -> Vec<&str> {
        let rows = self.section(arch).microarchs.iter();
        rows.filter(|(_, row)| row.names(arch, cpu)).map(|(name, _)| name.as_str()).collect()
    }

    /// The features of `microarch` that this CPU is not known to have: it lacks them, or its
    /// list of flags is cut. None for `dispatch`; `None` where the table has no such name for
    /// this architecture.
    pub fn missing(&self, microarch: &str, cpu: &Cpu) -> Option<Vec<String>> {
        if microarch == DISPATCH {
            return Some(vec![]);
        }
        let row = self.section(cpu.arch).microarchs.get(microarch)?;
        let mut missing = self.lacking(cpu, row.features.iter().map(String::as_str));
        missing.extend(lacking_level(cpu, &row.arch));
        Some(missing)
    }

    /// The same for a manifest's `cpuOptions`: `GGML_AVX2`, or
    /// `GGML_CPU_ARM_ARCH=armv8.2-a+dotprod`. What the table does not know is not held
    /// against a CPU.
    pub fn missing_for_options(&self, options: &[String], cpu: &Cpu) -> Vec<String> {
        let mut missing = self.lacking(cpu, self.enabled_by(options));
        for march in options.iter().filter_map(|option| option.strip_prefix("GGML_CPU_ARM_ARCH=")) {
            let mut words = march.split('+');
            let level = words.next().unwrap_or_default();
            missing.extend(self.lacking(cpu, words));
            missing.extend(lacking_level(cpu, level));
        }
        missing
    }

    /// The features of x86 that these CMake options turn on.
    fn enabled_by<'a>(&'a self, options: &'a [String]) -> impl Iterator<Item = &'a str> {
        let is_on = |cmake: &String| options.contains(cmake);
        let features = self.x86_64.features.iter();
        features
            .filter(move |(_, feature)| feature.cmake.as_ref().is_some_and(is_on))
            .map(|(name, _)| name.as_str())
    }

    /// What a build for this microarchitecture uses, with these `cpuOptions` on top;
    /// `None` where the table has no such name.
    pub fn features(
        &self,
        arch: Arch,
        microarch: &str,
        options: &[String],
    ) -> Option<BTreeSet<String>> {
        let row = self.section(arch).microarchs.get(microarch)?;
        let enabled = self.enabled_by(options).map(str::to_owned);
        Some(row.features.iter().cloned().chain(enabled).collect())
    }

    /// What a build for exactly this microarchitecture passes to CMake, and each value:
    /// `ON`, `OFF`, or aarch64's -march. `None` where `system` has no such name.
    pub fn cmake_options(&self, system: &str, microarch: &str) -> Option<BTreeMap<String, String>> {
        let arch = arch_of(system)?;
        let row = self.section(arch).microarchs.get(microarch)?;
        if arch == Arch::Aarch64 {
            let words = std::iter::once(&row.arch).chain(&row.features);
            let march = words.map(String::as_str).collect::<Vec<_>>().join("+");
            return Some(BTreeMap::from([(ARM_ARCH.to_owned(), march)]));
        }
        let value = |feature| if row.features.contains(feature) { "ON" } else { "OFF" };
        let features = self.x86_64.features.iter();
        Some(
            features
                .filter_map(|(name, feature)| Some((feature.cmake.clone()?, value(name).into())))
                .collect(),
        )
    }

    /// Every CMake option that chooses an instruction set.
    pub fn options(&self) -> impl Iterator<Item = &str> {
        let features = self.x86_64.features.values();
        features.filter_map(|feature| feature.cmake.as_deref()).chain([ARM_ARCH])
    }

    #[cfg(test)]
    pub fn names(&self, system: &str) -> impl Iterator<Item = &String> {
        arch_of(system).into_iter().flat_map(|arch| self.section(arch).microarchs.keys())
    }

    fn section(&self, arch: Arch) -> &Section {
        match arch {
            Arch::X86_64 => &self.x86_64,
            Arch::Aarch64 => &self.aarch64,
        }
    }

    /// Features of another architecture are lacking: such a program does not start.
    fn lacking<'a>(&self, cpu: &Cpu, features: impl Iterator<Item = &'a str>) -> Vec<String> {
        let known = &self.section(cpu.arch).features;
        let has = |feature: &str| {
            let needs = known.get(feature).map(|feature| &feature.cpuinfo);
            needs.is_some_and(|needs| needs.iter().all(|flag| cpu.flags.contains(flag)))
                || cpu.flags_cut && self.has_by_name(cpu, feature)
        };
        features.filter(|feature| !has(feature)).map(str::to_owned).collect()
    }

    /// Whether every row that names this CPU has the feature. A hypervisor may mask any.
    fn has_by_name(&self, cpu: &Cpu, feature: &str) -> bool {
        let rows = &self.section(cpu.arch).microarchs;
        let mut own = rows.values().filter(|row| row.names(cpu.arch, &cpu.identity)).peekable();
        !cpu.flags.contains("hypervisor")
            && own.peek().is_some()
            && own.all(|row| row.features.iter().any(|has| has == feature))
    }
}

/// A name of no CPU, but of what many have.
fn is_generic(name: &str) -> bool {
    name.starts_with("x86-64") || name.starts_with("armv")
}

/// The architecture of a system such as `x86_64-linux`.
pub fn arch_of(system: &str) -> Option<Arch> {
    match system.split('-').next()? {
        "x86_64" => Some(Arch::X86_64),
        "aarch64" => Some(Arch::Aarch64),
        _ => None,
    }
}

/// An architecture level that this CPU does not reach, as a feature it lacks.
fn lacking_level(cpu: &Cpu, level: &str) -> Option<String> {
    let needed = level_flags(level)?;
    let has = |flag: &&str| cpu.flags.contains(*flag);
    (cpu.arch != Arch::Aarch64 || !needed.iter().all(has)).then(|| level.to_owned())
}

/// What GCC may use once it is given this `-march`, by the kernel's names (the
/// kernel's Documentation/arch/arm64/elf_hwcaps.rst; levels as in Arm's manual).
fn level_flags(level: &str) -> Option<BTreeSet<&'static str>> {
    let v8_2 = ["asimd", "atomics", "asimdrdm", "crc32"];
    let v8_4 = ["jscvt", "fcma", "lrcpc", "ilrcpc", "flagm", "uscat", "asimddp"];
    let v8_5 = ["sb", "frint", "flagm2"];
    let parts: &[&[&'static str]] = match level {
        "armv8-a" => &[&["asimd"]],
        "armv8.2-a" => &[&v8_2],
        "armv8.4-a" => &[&v8_2, &v8_4],
        "armv8.6-a" => &[&v8_2, &v8_4, &v8_5, &["i8mm", "bf16"]],
        "armv9-a" => &[&v8_2, &v8_4, &v8_5, &["sve2"]],
        _ => return None,
    };
    Some(parts.iter().copied().flatten().copied().collect())
}

#[cfg(test)]
#[path = "microarch_tests.rs"]
mod tests;
