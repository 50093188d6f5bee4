//! Tests of the microarchitecture table.

use super::*;

fn table() -> &'static Table {
    Table::embedded()
}

fn zen5() -> Cpu {
    Cpu::parse(include_str!("../../tests/fixtures/cpuinfo/zen5")).unwrap()
}

/// A CPU with the flags of these features and no others.
fn x86(features: &[&str], vendor: &str, family: u32, model: u32) -> Cpu {
    let table = table();
    let flags = features.iter().flat_map(|f| table.x86_64.features[*f].cpuinfo.clone());
    let identity = Identity { vendor: vendor.into(), family, model };
    Cpu {
        arch: Arch::X86_64,
        model: None,
        microarch: None,
        flags: flags.collect(),
        flags_cut: false,
        identity,
    }
}

fn arm(flags: &str, vendor: &str, part: u32) -> Cpu {
    let flags = flags.split_whitespace().map(str::to_owned).collect();
    let identity = Identity { vendor: vendor.into(), family: 0, model: part };
    Cpu { arch: Arch::Aarch64, model: None, microarch: None, flags, flags_cut: false, identity }
}

fn name(cpu: &Cpu) -> &'static str {
    table().detect(cpu).unwrap().name
}

const V3: [&str; 6] = ["SSE42", "AVX", "F16C", "FMA", "AVX2", "BMI2"];

#[test]
fn a_recorded_zen_5_is_znver5() {
    assert_eq!(name(&zen5()), "znver5");
}

/// A hypervisor may hide AVX-512 of a Zen 5.
#[test]
fn features_hidden_by_a_hypervisor_are_not_used() {
    let mut cpu = zen5();
    cpu.flags.retain(|flag| !flag.starts_with("avx512") && flag != "avx_vnni");
    assert_eq!(name(&cpu), "x86-64-v3");
    cpu.flags.retain(|flag| flag != "fma");
    assert_eq!(name(&cpu), "btver2");
}

#[test]
fn ties_go_to_the_cpus_own_name_then_to_a_generic_one() {
    assert_eq!(name(&x86(&V3, "AuthenticAMD", 0x19, 0x21)), "znver3");
    assert_eq!(name(&x86(&V3, "GenuineIntel", 6, 0x9e)), "skylake");
    assert_eq!(name(&x86(&V3, "HygonGenuine", 24, 0)), "x86-64-v3");
    assert_eq!(name(&x86(&[], "QEMU", 6, 6)), "x86-64");
    let tiger = [&V3[..], &["AVX512", "AVX512_VBMI", "AVX512_VNNI"]].concat();
    assert_eq!(name(&x86(&tiger, "GenuineIntel", 6, 0x8c)), "tigerlake");
}

/// Tests each row with the first CPU that it lists.
#[test]
fn a_row_is_detected_as_itself() {
    let table = table();
    for (name, row) in &table.x86_64.microarchs {
        let Some(entry) = row.cpus.first() else { continue };
        let words: Vec<&str> = entry.split([' ', '-']).collect();
        let number = |at: usize| u32::from_str_radix(words[at], 16).unwrap();
        let cpu = x86(&words_of(row), words[0], number(1), number(2));
        assert_eq!(table.detect(&cpu).unwrap(), Detected { name, is_own: true });
    }
    for (name, row) in &table.aarch64.microarchs {
        let Some((vendor, parts)) = row.cpus.first().and_then(|cpu| cpu.split_once(' ')) else {
            continue;
        };
        let part = u32::from_str_radix(parts.split([' ', '-']).next().unwrap(), 16).unwrap();
        let features = row.features.iter().flat_map(|f| &table.aarch64.features[f].cpuinfo);
        let level = level_flags(&row.arch).unwrap();
        let flags: Vec<&str> = features.map(String::as_str).chain(level).collect();
        let detected = table.detect(&arm(&flags.join(" "), vendor, part)).unwrap();
        assert_eq!(detected, Detected { name, is_own: true });
    }
}

fn words_of(row: &Row) -> Vec<&str> {
    row.features.iter().map(String::as_str).collect()
}

/// Between two rows with the same features and CPUs, the alphabet would decide.
#[test]
fn no_cpu_has_two_names_with_the_same_features() {
    let table = table();
    for section in [&table.x86_64, &table.aarch64] {
        for (name, row) in &section.microarchs {
            for (other, twin) in &section.microarchs {
                let is_twin = row.features == twin.features && row.cpus == twin.cpus;
                assert!(name == other || row.cpus.is_empty() || !is_twin, "{name} and {other}");
            }
        }
    }
}

#[test]
fn a_name_of_another_vendor_is_only_the_closest() {
    let table = table();
    // A Zen 5 with AVX-512 hidden has Alder Lake's features.
    let mut cpu = zen5();
    cpu.flags.retain(|flag| !flag.starts_with("avx512"));
    let detected = table.detect(&cpu).unwrap();
    assert!(!detected.is_own);
    let words = format!("closest: the same instruction sets as {}", detected.name);
    assert_eq!(detected.to_string(), words);
    // A kernel that does not report AVX-VNNI either.
    let xeon = include_str!("../../tests/fixtures/cpuinfo/xeon-without-amx");
    let cpu = Cpu::parse(&xeon.replace(" avx_vnni", "")).unwrap();
    assert_eq!(name(&cpu), "sapphirerapids-no-amx");
    // Proxmox's `x86-64-v3` has the model number of an AMD CPU of 2006.
    let proxmox = x86(&V3, "AuthenticAMD", 15, 107);
    let detected = table.detect(&proxmox).unwrap();
    assert_eq!((detected.name, detected.is_own), ("x86-64-v3", true));
}

/// Sources: tests/fixtures/cpuinfo/README.md.
#[test]
fn a_recorded_cpu_has_its_own_name_or_a_generic_one() {
    let table = table();
    for (cpuinfo, name) in [
        (include_str!("../../tests/fixtures/cpuinfo/apple-m2"), "apple-m2"),
        (include_str!("../../tests/fixtures/cpuinfo/ampere1a"), "ampere1a"),
        (include_str!("../../tests/fixtures/cpuinfo/neoverse-v2"), "neoverse-v2"),
        (include_str!("../../tests/fixtures/cpuinfo/a64fx"), "a64fx"),
        (include_str!("../../tests/fixtures/cpuinfo/thunderx2"), "thunderx2"),
        (include_str!("../../tests/fixtures/cpuinfo/cascadelake"), "cascadelake"),
        (include_str!("../../tests/fixtures/cpuinfo/arrowlake-s"), "arrowlake-s"),
        (include_str!("../../tests/fixtures/cpuinfo/bulldozer"), "bdver1"),
        (include_str!("../../tests/fixtures/cpuinfo/k10"), "amdfam10"),
        (include_str!("../../tests/fixtures/cpuinfo/piledriver"), "bdver2"),
        (include_str!("../../tests/fixtures/cpuinfo/tensor-g3"), "cortex-a510"),
        (include_str!("../../tests/fixtures/cpuinfo/xeon-without-amx"), "sapphirerapids-no-amx"),
        (include_str!("../../tests/fixtures/cpuinfo/snapdragon-8-gen-2"), "armv8.2-a-i8mm"),
        (include_str!("../../tests/fixtures/cpuinfo/virtualbox"), "x86-64"),
    ] {
        let detected = table.detect(&Cpu::parse(cpuinfo).unwrap()).unwrap();
        assert_eq!(detected, Detected { name, is_own: true });
    }
}

/// A virtual machine with another model number gets the oldest CPU with these features, whose name
/// every compiler knows.
#[test]
fn the_oldest_name_with_the_same_features_is_chosen() {
    let table = table();
    let cpu = Cpu::parse(include_str!("../../tests/fixtures/cpuinfo/xeon-with-a-masked-model"));
    let detected = table.detect(&cpu.unwrap()).unwrap();
    assert_eq!(detected, Detected { name: "sapphirerapids", is_own: false });
}

#[test]
fn arm_parts_are_found_and_no_level_is_assumed() {
    let n1 = "fp asimd evtstrm aes crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop \
              asimddp ssbs";
    assert_eq!(name(&arm(n1, "0x41", 0xd0c)), "neoverse-n1");
    // An unknown part with the same features gets armv8.2-a, not the M1's 8.4.
    assert_eq!(name(&arm(n1, "0x99", 1)), "armv8.2-a-dotprod");
    let m1 = "fp asimd aes crc32 atomics fphp asimdhp cpuid asimdrdm jscvt fcma lrcpc dcpop \
              sha3 asimddp asimdfhm dit uscat ilrcpc flagm ssbs sb dcpodp flagm2 frint";
    assert_eq!(name(&arm(m1, "0x61", 0x22)), "apple-m1");
    assert_eq!(name(&arm("fp asimd crc32", "0x41", 0xd08)), "cortex-a72");
    // A nixos-facter report has no part number: a Grace is not called after another ARMv9 CPU.
    let v9 = format!("{m1} sve sve2 i8mm bf16");
    assert_eq!(name(&arm(&v9, "ARM Limited", 0)), "armv9-a-i8mm");
    assert_eq!(name(&arm(&v9, "0x41", 0xd4f)), "neoverse-v2");
}

#[test]
fn every_level_of_the_table_is_known_here() {
    for (name, row) in &table().aarch64.microarchs {
        assert!(level_flags(&row.arch).is_some(), "{name}: {}", row.arch);
    }
}

#[test]
fn features_that_a_build_needs_and_a_cpu_lacks_are_named() {
    let table = table();
    let missing = table.missing("sapphirerapids", &zen5());
    assert_eq!(missing.unwrap(), ["AMX_TILE", "AMX_INT8"]);
    assert_eq!(table.missing("znver4", &zen5()).unwrap(), [] as [&str; 0]);
    assert_eq!(table.missing(DISPATCH, &x86(&[], "", 0, 0)).unwrap(), [] as [&str; 0]);
    assert_eq!(table.missing("znver9", &zen5()), None);

    let options = |list: &[&str]| list.iter().map(|o| (*o).to_owned()).collect::<Vec<_>>();
    let old = x86(&["SSE42", "AVX"], "", 0, 0);
    let built = options(&["GGML_SSE42", "GGML_AVX2", "GGML_AVX512", "GGML_OF_2030"]);
    assert_eq!(table.missing_for_options(&built, &old), ["AVX2", "AVX512"]);
    let a72 = arm("fp asimd crc32", "0x41", 0xd08);
    let built = options(&["GGML_CPU_ARM_ARCH=armv8.2-a+dotprod+fp16"]);
    let missing = table.missing_for_options(&built, &a72);
    assert_eq!(missing, ["dotprod", "fp16", "armv8.2-a"]);
    // A build for another architecture.
    assert!(!table.missing_for_options(&built, &zen5()).is_empty());
}

/// Some hypervisors report a Haswell without BMI2.
#[test]
fn a_guest_without_bmi2_still_uses_avx2() {
    let cpu = x86(&["SSE42", "AVX", "F16C", "FMA", "AVX2"], "GenuineIntel", 6, 0x3c);
    assert_eq!(name(&cpu), "x86-64-v3-no-bmi2");
}
