//! The microarchitecture table, and which of its rows a CPU can run. Nix reads the
//! same file: overlays/llama-cpp/microarch.nix.
//!
//! Pure: no I/O, no clock.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::hardware::cpu::{Arch, Cpu};
use crate::hardware::cpu_names::usual_name;

/// All microarchitectures in one package, one chosen at start-up: it runs anywhere.
pub const DISPATCH: &str = "dispatch";

/// aarch64 has one option for all its features.
const ARM_ARCH: &str = "GGML_CPU_ARM_ARCH";

const TABLE: &str = include_str!("../../../overlays/llama-cpp/microarch.json");

#[derive(Debug, Clone, Deserialize)]
pub struct Table {
    x86_64: Section<Vec<String>>,
    aarch64: Section<ArmRow>,
}

#[derive(Debug, Clone, Deserialize)]
struct Section<Row> {
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
struct ArmRow {
    /// As GCC's -march takes it: `armv8.2-a`.
    arch: String,
    features: Vec<String>,
}

impl Table {
    /// The table that is compiled in.
    ///
    /// # Errors
    /// microarch.json has lost its shape; a test holds it.
    pub fn embedded() -> serde_json::Result<Self> {
        serde_json::from_str(TABLE)
    }

    /// The microarchitecture with most features of those that this CPU has in full.
    /// Equal ones: the name that this CPU goes by; then the older instruction set
    /// level; then the generic x86-64-vN; then the alphabet.
    pub fn detect(&self, cpu: &Cpu) -> Option<&str> {
        let usual = usual_name(&cpu.identity);
        let rank = |name: &&str| {
            let needed = self.needed(cpu.arch, name).unwrap_or_default();
            let level = self.aarch64.microarchs.get(*name).map(|row| row.arch.clone());
            (
                std::cmp::Reverse(needed.len()),
                usual != Some(name),
                level.filter(|_| cpu.arch == Arch::Aarch64),
                !name.starts_with("x86-64"),
                (*name).to_owned(),
            )
        };
        self.names(cpu.arch)
            .into_iter()
            .filter(|name| self.missing(name, cpu).is_some_and(|missing| missing.is_empty()))
            .min_by_key(rank)
    }

    /// The features of `microarch` that this CPU lacks; none for `dispatch`; `None`
    /// where the table has no such name for this architecture.
    pub fn missing(&self, microarch: &str, cpu: &Cpu) -> Option<Vec<String>> {
        if microarch == DISPATCH {
            return Some(vec![]);
        }
        let mut missing = self.lacking(cpu, &self.needed(cpu.arch, microarch)?);
        if let Some(row) = self.aarch64.microarchs.get(microarch) {
            missing.extend(lacking_level(cpu, &row.arch));
        }
        Some(missing)
    }

    /// The same for a manifest's `cpuOptions`: `GGML_AVX2`, or
    /// `GGML_CPU_ARM_ARCH=armv8.2-a+dotprod`. What the table does not know is not held
    /// against a CPU.
    pub fn missing_for_options(&self, options: &[String], cpu: &Cpu) -> Vec<String> {
        let mut missing = vec![];
        for option in options {
            if let Some(march) = option.strip_prefix("GGML_CPU_ARM_ARCH=") {
                let mut words = march.split('+');
                let level = words.next().unwrap_or_default();
                missing.extend(self.lacking(cpu, &words.collect::<Vec<_>>()));
                missing.extend(lacking_level(cpu, level));
            } else {
                let named = self.x86_64.features.iter();
                let named: Vec<&str> = named
                    .filter(|(_, feature)| feature.cmake.as_ref() == Some(option))
                    .map(|(name, _)| name.as_str())
                    .collect();
                missing.extend(self.lacking(cpu, &named));
            }
        }
        missing
    }

    /// What a build for this microarchitecture uses, with these `cpuOptions` on top;
    /// `None` where the table has no such name.
    pub fn features(
        &self,
        arch: Arch,
        microarch: &str,
        options: &[String],
    ) -> Option<BTreeSet<String>> {
        let mut features: BTreeSet<String> =
            self.needed(arch, microarch)?.into_iter().map(str::to_owned).collect();
        let named = self.x86_64.features.iter();
        let on = |cmake: &Option<String>| cmake.as_ref().is_some_and(|o| options.contains(o));
        features.extend(named.filter(|(_, f)| on(&f.cmake)).map(|(name, _)| name.clone()));
        Some(features)
    }

    /// What a build for exactly this microarchitecture passes to CMake, and each value:
    /// `ON`, `OFF`, or aarch64's -march. `None` where `system` has no such name.
    pub fn cmake_options(&self, system: &str, microarch: &str) -> Option<BTreeMap<String, String>> {
        if arch_of(system)? == Arch::Aarch64 {
            let row = self.aarch64.microarchs.get(microarch)?;
            let words = std::iter::once(&row.arch).chain(&row.features);
            let march = words.map(String::as_str).collect::<Vec<_>>().join("+");
            return Some(BTreeMap::from([(ARM_ARCH.to_owned(), march)]));
        }
        let row = self.x86_64.microarchs.get(microarch)?;
        let value = |feature| if row.contains(feature) { "ON" } else { "OFF" };
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

    /// The names that `programs.llama-cpp.microarch` may have on this system.
    pub fn names_for(&self, system: &str) -> Vec<&str> {
        arch_of(system).map(|arch| self.names(arch)).unwrap_or_default()
    }

    fn names(&self, arch: Arch) -> Vec<&str> {
        match arch {
            Arch::X86_64 => self.x86_64.microarchs.keys().map(String::as_str).collect(),
            Arch::Aarch64 => self.aarch64.microarchs.keys().map(String::as_str).collect(),
        }
    }

    fn needed(&self, arch: Arch, microarch: &str) -> Option<Vec<&str>> {
        let features = match arch {
            Arch::X86_64 => self.x86_64.microarchs.get(microarch)?,
            Arch::Aarch64 => &self.aarch64.microarchs.get(microarch)?.features,
        };
        Some(features.iter().map(String::as_str).collect())
    }

    /// Features of another architecture are lacking: such a program does not start.
    fn lacking(&self, cpu: &Cpu, features: &[&str]) -> Vec<String> {
        let known = match cpu.arch {
            Arch::X86_64 => &self.x86_64.features,
            Arch::Aarch64 => &self.aarch64.features,
        };
        let has = |feature: &&&str| {
            let needs = known.get(**feature).map(|feature| &feature.cpuinfo);
            needs.is_some_and(|needs| needs.iter().all(|flag| cpu.flags.contains(flag)))
        };
        features.iter().filter(|f| !has(f)).map(|f| (*f).to_owned()).collect()
    }
}

fn arch_of(system: &str) -> Option<Arch> {
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
mod tests {
    use super::*;
    use crate::hardware::cpu::Identity;

    fn table() -> Table {
        Table::embedded().unwrap()
    }

    fn zen5() -> Cpu {
        Cpu::parse(include_str!("../../tests/fixtures/cpuinfo/zen5")).unwrap()
    }

    /// A CPU that has what these features need and nothing else.
    fn x86(features: &[&str], vendor: &str, family: u32, model: u32) -> Cpu {
        let table = table();
        let flags = features.iter().flat_map(|f| table.x86_64.features[*f].cpuinfo.clone());
        let identity = Identity { vendor: vendor.into(), family, model };
        Cpu { arch: Arch::X86_64, model_name: None, flags: flags.collect(), identity }
    }

    fn arm(flags: &str, vendor: &str, part: u32) -> Cpu {
        let flags = flags.split_whitespace().map(str::to_owned).collect();
        let identity = Identity { vendor: vendor.into(), family: 0, model: part };
        Cpu { arch: Arch::Aarch64, model_name: None, flags, identity }
    }

    const V3: [&str; 6] = ["SSE42", "AVX", "F16C", "FMA", "AVX2", "BMI2"];

    #[test]
    fn a_recorded_zen_5_is_znver5() {
        assert_eq!(table().detect(&zen5()), Some("znver5"));
    }

    /// A hypervisor that hides AVX-512 leaves a Zen 5 that must not get it.
    #[test]
    fn what_a_hypervisor_hides_is_not_used_whatever_the_model_says() {
        let mut cpu = zen5();
        cpu.flags.retain(|flag| !flag.starts_with("avx512") && flag != "avx_vnni");
        assert_eq!(table().detect(&cpu), Some("x86-64-v3"));
        cpu.flags.retain(|flag| flag != "fma");
        assert_eq!(table().detect(&cpu), Some("ivybridge"));
    }

    #[test]
    fn among_equals_the_cpus_own_name_wins_and_without_one_the_generic() {
        let table = table();
        assert_eq!(table.detect(&x86(&V3, "AuthenticAMD", 0x19, 0x21)), Some("znver3"));
        assert_eq!(table.detect(&x86(&V3, "GenuineIntel", 6, 0x9e)), Some("skylake"));
        assert_eq!(table.detect(&x86(&V3, "HygonGenuine", 24, 0)), Some("x86-64-v3"));
        assert_eq!(table.detect(&x86(&[], "QEMU", 6, 6)), Some("x86-64"));
        let tiger = [&V3[..], &["AVX512", "AVX512_VBMI", "AVX512_VNNI"]].concat();
        assert_eq!(table.detect(&x86(&tiger, "GenuineIntel", 6, 0x8c)), Some("tigerlake"));
    }

    #[test]
    fn a_row_is_detected_as_itself_or_its_equal() {
        let table = table();
        for (name, features) in &table.x86_64.microarchs {
            let features: Vec<&str> = features.iter().map(String::as_str).collect();
            let detected = table.detect(&x86(&features, "", 0, 0)).unwrap();
            let sorted = |list: &[String]| list.iter().cloned().collect::<BTreeSet<_>>();
            assert_eq!(
                sorted(&table.x86_64.microarchs[detected]),
                sorted(&table.x86_64.microarchs[name]),
                "{name} was detected as {detected}"
            );
        }
    }

    #[test]
    fn arm_parts_are_found_and_no_level_is_assumed() {
        let table = table();
        let n1 = "fp asimd evtstrm aes crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop \
                  asimddp ssbs";
        assert_eq!(table.detect(&arm(n1, "0x41", 0xd0c)), Some("neoverse-n1"));
        // An unknown part with the same features gets armv8.2-a, not the M1's 8.4.
        assert_eq!(table.detect(&arm(n1, "0x99", 1)), Some("cortex-a55"));
        let m1 = "fp asimd aes crc32 atomics fphp asimdhp cpuid asimdrdm jscvt fcma lrcpc dcpop \
                  sha3 asimddp asimdfhm dit uscat ilrcpc flagm ssbs sb dcpodp flagm2 frint";
        assert_eq!(table.detect(&arm(m1, "0x61", 0x22)), Some("apple-m1"));
        assert_eq!(table.detect(&arm("fp asimd crc32", "0x41", 0xd08)), Some("cortex-a72"));
    }

    #[test]
    fn every_level_of_the_table_is_known_here() {
        for (name, row) in &table().aarch64.microarchs {
            assert!(level_flags(&row.arch).is_some(), "{name}: {}", row.arch);
        }
    }

    #[test]
    fn every_usual_name_is_a_row() {
        let table = table();
        for (vendor, arch) in [
            ("AuthenticAMD", Arch::X86_64),
            ("GenuineIntel", Arch::X86_64),
            ("0x41", Arch::Aarch64),
            ("0x46", Arch::Aarch64),
            ("0x61", Arch::Aarch64),
            ("0xc0", Arch::Aarch64),
        ] {
            for family in [0, 6, 0x17, 0x19, 0x1a] {
                for model in 0..0x1000 {
                    let identity = Identity { vendor: vendor.into(), family, model };
                    if let Some(name) = usual_name(&identity) {
                        assert!(table.names(arch).contains(&name), "{name}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_a_build_needs_and_a_cpu_lacks_is_named() {
        let table = table();
        let missing = table.missing("sapphirerapids", &zen5());
        assert_eq!(missing.unwrap(), ["AMX_TILE", "AMX_INT8"]);
        assert_eq!(table.missing("znver4", &zen5()).unwrap(), [] as [&str; 0]);
        assert_eq!(table.missing(DISPATCH, &x86(&[], "", 0, 0)).unwrap(), [] as [&str; 0]);
        assert_eq!(table.missing("znver6", &zen5()), None);

        let options = |list: &[&str]| list.iter().map(|o| (*o).to_owned()).collect::<Vec<_>>();
        let old = x86(&["SSE42", "AVX"], "", 0, 0);
        let built = options(&["GGML_SSE42", "GGML_AVX2", "GGML_AVX512", "GGML_OF_2030"]);
        assert_eq!(table.missing_for_options(&built, &old), ["AVX2", "AVX512"]);
        let a72 = arm("fp asimd crc32", "0x41", 0xd08);
        let built = options(&["GGML_CPU_ARM_ARCH=armv8.2-a+dotprod+fp16"]);
        let missing = table.missing_for_options(&built, &a72);
        assert_eq!(missing, ["dotprod", "fp16", "armv8.2-a"]);
        // Sent to the wrong architecture altogether.
        assert!(!table.missing_for_options(&built, &zen5()).is_empty());
    }
}
