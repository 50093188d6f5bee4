//! The microarchitecture table, and which of its rows a CPU can run. Nix reads the same file
//! in overlays/llama-cpp/microarch.nix.
//!
//! Pure: no I/O, no clock.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde::Deserialize;

use crate::hardware::cpu::{Arch, Cpu, Identity};

/// A package with modules for all microarchitectures, which selects one at start-up and so
/// runs on any CPU.
pub const DISPATCH: &str = "dispatch";

/// The one CMake option for all aarch64 features.
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
    /// The CMake option. None on aarch64, where one option covers all features.
    cmake: Option<String>,
    /// The flags in /proc/cpuinfo that the feature requires.
    cpuinfo: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
struct Row {
    /// The architecture level for GCC's -march, such as `armv8.2-a` (aarch64 only).
    #[serde(default)]
    arch: String,
    features: Vec<String>,
    /// The CPUs of this name: `VENDOR FAMILY MODEL…` (x86) or `IMPLEMENTER PART…`, with the
    /// numbers of /proc/cpuinfo in hexadecimal and ranges as `00-2f`. Empty for a generic name,
    /// or if another row lists the CPUs.
    #[serde(default)]
    cpus: Vec<String>,
}

impl Row {
    /// Counts the features that ggml uses: it has no code for AVX-VNNI if AVX-512 VNNI is on.
    fn useful_features(&self) -> usize {
        let has = |name: &str| self.features.iter().any(|feature| feature == name);
        self.features.len() - usize::from(has("AVX512_VNNI") && has("AVX_VNNI"))
    }

    fn has_vendor(&self, vendor: &str) -> bool {
        self.cpus.iter().any(|cpu| cpu.split(' ').next() == Some(vendor))
    }

    /// Returns the lowest family and model of the row's CPUs. None on ARM, where the numbers do
    /// not follow the CPU's age.
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

    fn lists(&self, arch: Arch, cpu: &Identity) -> bool {
        self.cpus.iter().any(|entry| {
            let mut words = entry.split(' ');
            let is_vendor = words.next() == Some(cpu.vendor.as_str());
            let is_family = arch == Arch::Aarch64 || words.next().and_then(hex) == Some(cpu.family);
            let is_model = |word: &str| {
                let (first, last) = word.split_once('-').unwrap_or((word, word));
                hex(first) <= Some(cpu.model) && Some(cpu.model) <= hex(last)
            };
            is_vendor && is_family && words.any(is_model)
        })
    }
}

fn hex(text: &str) -> Option<u32> {
    u32::from_str_radix(text, 16).ok()
}

/// The row that fits a CPU best.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Detected<'a> {
    pub name: &'a str,
    /// Whether the name is generic or this CPU's. False if it is the name of another CPU with
    /// the same instruction sets.
    pub is_own: bool,
}

impl std::fmt::Display for Detected<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let closest = if self.is_own { "" } else { "closest: the same instruction sets as " };
        write!(f, "{closest}{}", self.name)
    }
}

impl Table {
    /// Returns the table that is compiled into this program.
    pub fn embedded() -> &'static Self {
        &TABLE
    }

    /// Returns the row with the most useful features among those that this CPU supports
    /// completely. Ties go to the row that lists this vendor, family and model; then to a generic
    /// row; then to the same vendor; then to the lowest architecture level; then to the lowest
    /// family and model, which is the oldest. None if the list of flags is truncated, unless the
    /// row lists this CPU.
    pub fn detect(&self, cpu: &Cpu) -> Option<Detected<'_>> {
        let rows = self.section(cpu.arch).microarchs.iter();
        let runs = |name: &str| self.missing(name, cpu).is_some_and(|missing| missing.is_empty());
        let (name, row) = rows.filter(|(name, _)| runs(name)).min_by_key(|(name, row)| {
            (
                Reverse(row.useful_features()),
                !row.lists(cpu.arch, &cpu.identity),
                !is_generic(name),
                !row.has_vendor(&cpu.identity.vendor),
                &row.arch,
                row.oldest(cpu.arch),
                *name,
            )
        })?;
        // The truncated part may contain more features.
        let is_listed = row.lists(cpu.arch, &cpu.identity);
        (!cpu.flags_cut || is_listed)
            .then(|| Detected { name, is_own: is_generic(name) || is_listed })
    }

    /// Returns the names of the rows that list this CPU. There may be several: three generations
    /// of Intel Xeons share one model number.
    pub fn names_of(&self, arch: Arch, cpu: &Identity) -> Vec<&str> {
        let rows = self.section(arch).microarchs.iter();
        rows.filter(|(_, row)| row.lists(arch, cpu)).map(|(name, _)| name.as_str()).collect()
    }

    /// Returns the features of `microarch` that this CPU lacks, or may lack because its list of
    /// flags is truncated. Empty for `dispatch`; `None` if the table has no such name for this
    /// architecture.
    pub fn missing(&self, microarch: &str, cpu: &Cpu) -> Option<Vec<String>> {
        if microarch == DISPATCH {
            return Some(vec![]);
        }
        let row = self.section(cpu.arch).microarchs.get(microarch)?;
        let mut missing = self.lacking(cpu, row.features.iter().map(String::as_str));
        missing.extend(lacking_level(cpu, &row.arch));
        Some(missing)
    }

    /// Like [`Self::missing`], for a manifest's `cpuOptions`: `GGML_AVX2` or
    /// `GGML_CPU_ARM_ARCH=armv8.2-a+dotprod`. Ignores options that the table does not have.
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

    /// Returns the x86 features that these CMake options turn on.
    fn enabled_by<'a>(&'a self, options: &'a [String]) -> impl Iterator<Item = &'a str> {
        let is_on = |cmake: &String| options.contains(cmake);
        let features = self.x86_64.features.iter();
        features
            .filter(move |(_, feature)| feature.cmake.as_ref().is_some_and(is_on))
            .map(|(name, _)| name.as_str())
    }

    /// Returns the features that a build for this microarchitecture uses, including these
    /// `cpuOptions`. `None` if the table has no such name.
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

    /// Returns the CMake options of a build for exactly this microarchitecture, with their
    /// values: `ON`, `OFF`, or an -march on aarch64. `None` if the table has no such name for
    /// `system`.
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

    /// Returns every CMake option that selects an instruction set.
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

    /// Returns the features that this CPU lacks, which includes all of another architecture.
    fn lacking<'a>(&self, cpu: &Cpu, features: impl Iterator<Item = &'a str>) -> Vec<String> {
        let known = &self.section(cpu.arch).features;
        let has = |feature: &str| {
            let needs = known.get(feature).map(|feature| &feature.cpuinfo);
            needs.is_some_and(|needs| needs.iter().all(|flag| cpu.flags.contains(flag)))
                || cpu.flags_cut && self.has_by_name(cpu, feature)
        };
        features.filter(|feature| !has(feature)).map(str::to_owned).collect()
    }

    /// Whether every row that lists this CPU has the feature. False under a hypervisor, which
    /// may mask features.
    fn has_by_name(&self, cpu: &Cpu, feature: &str) -> bool {
        let rows = &self.section(cpu.arch).microarchs;
        let mut rows = rows.values().filter(|row| row.lists(cpu.arch, &cpu.identity)).peekable();
        !cpu.flags.contains("hypervisor")
            && rows.peek().is_some()
            && rows.all(|row| row.features.iter().any(|name| name == feature))
    }
}

/// Whether a name stands for an architecture level instead of a CPU.
fn is_generic(name: &str) -> bool {
    name.starts_with("x86-64") || name.starts_with("armv")
}

/// Returns the architecture of a Nix system such as `x86_64-linux`.
pub fn arch_of(system: &str) -> Option<Arch> {
    match system.split('-').next()? {
        "x86_64" => Some(Arch::X86_64),
        "aarch64" => Some(Arch::Aarch64),
        _ => None,
    }
}

/// Returns an architecture level that this CPU does not reach, as a missing feature.
fn lacking_level(cpu: &Cpu, level: &str) -> Option<String> {
    let needed = level_flags(level)?;
    let has = |flag: &&str| cpu.flags.contains(*flag);
    (cpu.arch != Arch::Aarch64 || !needed.iter().all(has)).then(|| level.to_owned())
}

/// Returns the CPU flags, by the kernel's names, that GCC may rely on with this `-march`
/// (the kernel's Documentation/arch/arm64/elf_hwcaps.rst; levels as in Arm's manual).
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
