//! Tests that missing facts are unknown: they cause a warning, never an error, and no
//! recommendation.

use proptest::prelude::*;
use serde_json::json;

use crate::findings::finding::{Finding, Severity};
use crate::fleet::manifest::Manifest;
use crate::hardware::cpu::Cpu;
use crate::hardware::facts::{Facts, Gpu, Vendor};
use crate::hardware::microarch::{DISPATCH, Table};
use crate::hardware::probe_output::{ProbeReport, read};
use crate::hardware::recommendation::Recommendation;
use crate::hardware::{facter, rules};

const EPYC: &str = include_str!("../../tests/fixtures/probe/facter-epyc-9654.json");
const H100: &str = include_str!("../../tests/fixtures/probe/facter-h100-vfio.json");
const A40: &str = include_str!("../../tests/fixtures/probe/facter-a40-nouveau.json");
const RADEON: &str = include_str!("../../tests/fixtures/probe/facter-radeon-780m.json");
const ARC: &str = include_str!("../../tests/fixtures/probe/arc-b580.vulkaninfo");
const MISMATCH: &str = include_str!("../../tests/fixtures/probe/nvidia-smi-mismatch");
const BANNER: &str = include_str!("../../tests/fixtures/probe/nvidia-smi-banner");
const ZEN4: &str = include_str!("../../tests/fixtures/probe/zen4.cpuinfo");
const CARD: &str =
    "DRIVER=nvidia\nPCI_ID=10DE:2204\nPCI_SLOT_NAME=0000:01:00.0\nRENDER=renderD128\n\n";

fn report(text: &str) -> ProbeReport {
    ProbeReport::new("a", "a.json", Ok(facter::read("a", text).unwrap()))
}

fn probed(sections: &[(&str, &str)]) -> ProbeReport {
    let sections = [&[("cpuinfo", ZEN4)], sections, &[("end", "")]].concat();
    let answer = sections.iter().map(|(name, text)| format!("\n#llamafleet {name}\n{text}"));
    let facts = read("a", &answer.collect::<String>()).unwrap();
    ProbeReport::new("a", "a", Ok(facts))
}

fn variant(microarch: &str, backends: &[&str]) -> Manifest {
    Manifest::with(&json!({
        "backends": backends, "microarch": microarch, "cudaCapabilities": ["8.6"],
        "rocmTargets": ["gfx1030"],
    }))
}

fn judged(manifest: &Manifest, facts: &Facts) -> Vec<(&'static str, Severity)> {
    let findings = rules::findings(manifest, facts);
    findings.iter().map(|finding| (finding.code, finding.severity)).collect()
}

fn codes(findings: &[Finding]) -> Vec<&'static str> {
    findings.iter().map(|finding| finding.code).collect()
}

#[test]
fn a_truncated_list_of_features_is_completed_by_the_cpus_name() {
    let report = report(EPYC);
    let facts = report.facts.unwrap();
    assert!(facts.cpu.flags_cut && !facts.cpu.flags.contains("v"));
    assert_eq!(report.recommendation.unwrap().microarch, "znver4");
    let unknown = ("unknown-gpu", Severity::Warning);
    assert_eq!(judged(&variant("znver4", &["cpu"]), &facts), [unknown]);
    assert_eq!(judged(&variant(DISPATCH, &["cuda"]), &facts), [unknown]);
    // Features that no Zen 4 has are unknown.
    let znver5 = judged(&variant("znver5", &["cpu"]), &facts);
    assert_eq!(znver5[0], ("unverified-cpu", Severity::Warning));
    // Written and read again, also from a version that did not recognize it.
    let text = facts.to_json().unwrap();
    assert_eq!(Facts::parse(&text).unwrap(), facts);
    let old: serde_json::Value = serde_json::from_str(EPYC).unwrap();
    let mut written: serde_json::Value = serde_json::from_str(&text).unwrap();
    written["cpu"].as_object_mut().unwrap().remove("flagsCut");
    written["cpu"]["flags"] = old["hardware"]["cpu"][0]["features"].clone();
    assert!(Facts::parse(&written.to_string()).unwrap().cpu.flags_cut);
}

#[test]
fn a_truncated_list_of_an_unlisted_cpu_recommends_dispatch() {
    // An unlisted model; and a hypervisor, which may mask features (a word of equal length).
    for change in [("\"model\": 17", "\"model\": 250"), ("clflushopt", "hypervisor")] {
        let text = EPYC.replace(change.0, change.1);
        let report = report(&text);
        assert_eq!(report.recommendation.unwrap().microarch, DISPATCH, "{change:?}");
        assert!(codes(&report.findings).contains(&"unverified-cpu"));
        let facts = report.facts.unwrap();
        let found = judged(&variant("znver4", &["cpu"]), &facts);
        assert_eq!(found[0], ("unverified-cpu", Severity::Warning), "{change:?}");
    }
}

/// A complete list may fill a smaller power of two.
#[test]
fn a_short_list_of_features_is_complete() {
    let mut text: serde_json::Value = serde_json::from_str(RADEON).unwrap();
    let words = "lm avx2 sse4_2 sse4_1 ssse3 pni popcnt avx xsave f16c fma bmi2";
    let rest = "x".repeat(511 - words.len() - 1);
    let features: Vec<&str> = words.split(' ').chain([rest.as_str()]).collect();
    text["hardware"]["cpu"][0]["features"] = json!(features);
    let report = report(&text.to_string());
    assert!(!report.facts.unwrap().cpu.flags_cut);
    assert_eq!(report.recommendation.unwrap().microarch, "x86-64-v3");
}

#[test]
fn a_gpu_reserved_for_a_virtual_machine_is_not_the_hosts() {
    for driver in ["vfio-pci", "vfio_pci", "pci-stub", "xen-pciback"] {
        let report = report(&H100.replace("vfio-pci", driver));
        let facts = report.facts.unwrap();
        assert!(facts.gpus.is_empty(), "{driver}");
        let found = judged(&variant("znver4", &["cuda"]), &facts);
        assert_eq!(found, [("no-such-gpu", Severity::Error)], "{driver}");
    }
}

#[test]
fn nouveau_is_not_nvidias_driver() {
    let report = report(A40);
    assert_eq!(codes(&report.findings), ["wrong-driver"]);
    assert_eq!(report.recommendation.as_ref().unwrap().backend, ["cpu"]);
    let arm = Manifest { system: "aarch64-linux".into(), ..variant("armv8.2-a-i8mm", &["cuda"]) };
    let found = judged(&arm, &report.facts.unwrap());
    assert!(found.contains(&("wrong-driver", Severity::Warning)), "{found:?}");
    assert!(found.iter().all(|(_, severity)| *severity < Severity::Error), "{found:?}");
    let pci = "DRIVER=nouveau\nPCI_ID=10DE:2235\nPCI_SLOT_NAME=0000:01:00.0\nRENDER=renderD128\n\n";
    for driver in ["nouveau", "NovaCore"] {
        let report = probed(&[("pci", &pci.replace("nouveau", driver))]);
        assert_eq!(codes(&report.findings), ["wrong-driver"]);
        assert!(report.findings[0].message.contains(driver));
    }
}

#[test]
fn what_can_use_a_reports_gpu_is_unknown() {
    let report = report(RADEON);
    assert!(codes(&report.findings).contains(&"unknown-gpu"), "{:?}", report.findings);
    assert_eq!(report.recommendation.unwrap().microarch, "znver4");
    let facts = report.facts.unwrap();
    assert!(
        judged(&variant("znver4", &["cpu"]), &facts).contains(&("unknown-gpu", Severity::Warning))
    );
    for backend in ["vulkan", "rocm"] {
        assert_eq!(judged(&variant("znver4", &[backend]), &facts), [], "{backend}");
    }
}

/// Whatever a probe of the machine would find.
#[test]
fn a_gpu_that_would_not_be_used_needs_no_probe() {
    for (numbers, codes_of_report) in [
        (["8086", "a7a0"], vec![]),
        (["8086", "e20b"], vec!["unknown-gpu"]),
        (["10de", "1140"], vec!["cuda-version"]),
    ] {
        let mut text: serde_json::Value = serde_json::from_str(RADEON).unwrap();
        let [vendor, device] = numbers.map(|hex| json!({ "hex": hex }));
        text["hardware"]["graphics_card"] = json!([{ "vendor": vendor, "device": device }]);
        let report = report(&text.to_string());
        assert_eq!(codes(&report.findings), codes_of_report, "{numbers:?}");
        let found = judged(&variant("znver4", &["cpu"]), &report.facts.unwrap());
        assert_eq!(found.is_empty(), numbers[1] != "e20b", "{numbers:?}");
    }
}

#[test]
fn an_intel_card_is_recognised_with_and_without_vulkaninfo() {
    let pci = "DRIVER=xe\nPCI_ID=8086:E20B\nPCI_SLOT_NAME=0000:03:00.0\nRENDER=renderD128\n\n";
    for sections in [&[("pci", pci), ("vulkan", ARC)][..], &[("pci", pci)]] {
        let report = probed(sections);
        assert_eq!(report.recommendation.unwrap().backend, ["vulkan"], "{sections:?}");
        assert_eq!(report.facts.unwrap().gpus[0].is_discrete, Some(true));
    }
    // An integrated GPU is usually slower than the cores.
    let own = pci.replace("E20B", "A7A0");
    assert_eq!(probed(&[("pci", &own)]).recommendation.unwrap().backend, ["cpu"]);
    // No driver, no Vulkan.
    let idle = "PCI_ID=8086:E20B\nPCI_SLOT_NAME=0000:03:00.0\n\n";
    assert_eq!(probed(&[("pci", idle)]).recommendation.unwrap().backend, ["cpu"]);
}

#[test]
fn nvidia_smis_messages_are_quoted() {
    for (text, words, help) in [
        (MISMATCH, "Driver/library version mismatch", "reboot"),
        ("No devices were found\n", "No devices were found", "journalctl -k -g NVRM"),
        (
            "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make \
             sure that the latest NVIDIA driver is installed and running.\n",
            "couldn't communicate",
            "videoDrivers",
        ),
        (
            "Unable to determine the device handle for GPU0000:01:00.0: GPU is lost.  Reboot the \
             system to recover this GPU\n",
            "GPU is lost",
            "reboot",
        ),
        ("Failed to initialize NVML: Unknown Error\n", "Unknown Error", "reboot"),
        (
            "Failed to initialize NVML: GPU access blocked by the operating system\n\
             Failed to properly shut down NVML: GPU access blocked by the operating system\n",
            "GPU access blocked",
            "wsl --shutdown",
        ),
        (
            "NVIDIA-SMI has failed because you do not have suffient permissions. Please try \
             running as an administrator.\n",
            "suffient permissions",
            "extraGroups",
        ),
        (
            "Failed to initialize NVML: Insufficient Permissions\n",
            "Insufficient Permissions",
            "extraGroups",
        ),
    ] {
        let report = probed(&[("pci", CARD), ("nvidia-smi", text)]);
        let [finding] = &report.findings[..] else { panic!("{:?}", report.findings) };
        assert!(finding.message.contains(words), "{finding:?}");
        assert!(finding.help.contains(help), "{finding:?}");
        assert_eq!(report.recommendation.unwrap().backend, ["cpu"]);
        // In a container, which may have no PCI.
        let facts = probed(&[("nvidia-smi", text)]).facts.unwrap();
        let found = judged(&variant("znver4", &["cuda"]), &facts);
        assert_eq!(found, [("nvidia-smi", Severity::Warning)]);
    }
    // A driver before 510: the second output counts.
    let old = "Field \"compute_cap\" is not a valid field to query.\n\n\
               name, driver_version, memory.total [MiB]\nTesla K80, 470.1, 11441 MiB\n";
    let report = probed(&[("pci", CARD), ("nvidia-smi", old)]);
    assert_eq!(codes(&report.findings), ["unknown-capability"]);
    assert!(report.findings[0].message.contains("driver 470.1 does not report"), "{report:?}");
}

#[test]
fn nvidia_smi_without_a_card_is_ignored() {
    let text = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n";
    let amd = "DRIVER=amdgpu\nPCI_ID=1002:744C\nRENDER=renderD128\n\n";
    let report = probed(&[("pci", amd), ("nvidia-smi", text)]);
    assert_eq!(report.findings, []);
    let found = judged(&variant("znver4", &["cuda"]), &report.facts.unwrap());
    assert!(found.contains(&("no-such-gpu", Severity::Error)), "{found:?}");
}

#[test]
fn in_a_container_without_sys_gpus_are_unknown() {
    let report = probed(&[("kernel", "6.1.0\n"), ("pci", "UNSEEN\n")]);
    assert_eq!(codes(&report.findings), ["unknown-gpu"]);
    assert!(report.findings[0].help.contains("/sys"), "{:?}", report.findings);
    for backend in ["cuda", "rocm", "vulkan"] {
        let found = judged(&variant("znver4", &[backend]), report.facts.as_ref().unwrap());
        assert_eq!(found, [("unknown-gpu", Severity::Warning)], "{backend}");
    }
    let smi = ("nvidia-smi", BANNER);
    assert_eq!(probed(&[("pci", "UNSEEN\n"), smi]).findings, []);
}

/// A Kepler, alone and beside a card that CUDA supports.
#[test]
fn a_card_that_is_too_old_for_cuda_is_no_target() {
    let header = "name, compute_cap, driver_version, memory.total [MiB]\n";
    let kepler = "Tesla K80, 3.7, 470.256.02, 11441 MiB\n";
    let both = format!("{kepler}NVIDIA GeForce RTX 3090, 8.6, 470.256.02, 24576 MiB\n");
    for (smi, backend, capabilities) in
        [(kepler, ["cpu"], vec![]), (both.as_str(), ["cuda"], vec!["8.6"])]
    {
        let report = probed(&[("nvidia-smi", &format!("{header}{smi}"))]);
        assert_eq!(codes(&report.findings), ["cuda-version"], "{smi}");
        let advice = report.recommendation.unwrap();
        assert_eq!(
            (advice.backend.as_slice(), advice.cuda_capabilities),
            (backend.as_slice(), capabilities.iter().map(ToString::to_string).collect())
        );
        let found = rules::findings(&variant("znver4", &["cuda"]), &report.facts.unwrap());
        match backend {
            ["cuda"] => assert_eq!(found, []),
            _ => {
                assert!(codes(&found).contains(&"no-kernel"), "{found:?}");
                assert!(found.iter().all(|it| !it.help.contains("3.7")), "{found:?}");
            }
        }
    }
}

#[test]
fn a_banner_before_nvidia_smis_table_hides_no_gpu() {
    let report = probed(&[("pci", CARD), ("nvidia-smi", BANNER)]);
    assert_eq!(report.findings, []);
    assert_eq!(report.facts.unwrap().gpus[0].cuda_capability.as_deref(), Some("8.6"));
}

#[test]
fn missing_memory_is_unknown_and_a_jetson_uses_the_machines() {
    // JetPack 6, and the device tree of an AGX Orin.
    let smi = "name, compute_cap, driver_version, memory.total [MiB]\n\
               Orin (nvgpu), [N/A], 540.3.0, [N/A]\n";
    let tree =
        "NVIDIA Jetson AGX Orin Developer Kit\nnvidia,p3737-0000+p3701-0005nvidia,tegra234\n";
    let memory = ("meminfo", "MemTotal:       32108184 kB\n");
    for sections in [
        &[("nvidia-smi", smi), memory][..],
        &[("devicetree", tree), memory],
        &[("nvidia-smi", smi), ("devicetree", tree), memory],
    ] {
        let facts = probed(sections).facts.unwrap();
        let [gpu] = &facts.gpus[..] else { panic!("{:?}", facts.gpus) };
        assert_eq!(gpu.cuda_capability.as_deref(), Some("8.7"), "{sections:?}");
        assert_eq!((gpu.vram_bytes, facts.memory_of(gpu)), (None, facts.memory_bytes));
    }
    let spark = "name, compute_cap, driver_version, memory.total [MiB]\n\
                 NVIDIA GB10, 12.1, 580.95.05, [N/A]\n";
    let facts = probed(&[("nvidia-smi", spark), memory]).facts.unwrap();
    assert_eq!(facts.memory_of(&facts.gpus[0]), facts.memory_bytes);
    let unknown = "name, compute_cap, driver_version, memory.total [MiB]\n\
                   NVIDIA L4, 8.9, 550.1, [Unknown Error]\n";
    let facts = probed(&[("nvidia-smi", unknown), memory]).facts.unwrap();
    assert_eq!(facts.memory_of(&facts.gpus[0]), None);
}

#[test]
fn a_model_can_use_one_mig_slice() {
    let smi = "name, compute_cap, driver_version, memory.total [MiB]\n\
               NVIDIA A100-SXM4-40GB, 8.0, 550.1, 40960 MiB\nNVIDIA A100-SXM4-40GB, 8.0, 550.1, 40960 MiB\n";
    let list = "GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-0)\n  MIG 1g.5gb+me   Device  0: (UUID: MIG-0)\n  \
                MIG 3g.20gb     Device  1: (UUID: MIG-1)\nGPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-1)\n";
    let facts = probed(&[("nvidia-smi", smi), ("nvidia-list", list)]).facts.unwrap();
    assert_eq!(facts.gpus[0].mig_bytes, [5_000_000_000, 20_000_000_000]);
    assert_eq!(facts.memory_of(&facts.gpus[0]), Some(20_000_000_000));
    assert_eq!(facts.memory_of(&facts.gpus[1]), Some(40 << 30));
}

/// A machine whose facts are complete.
fn complete() -> Facts {
    let mut nvidia = Gpu::new(Vendor::Nvidia, "NVIDIA GeForce RTX 3090");
    nvidia.cuda_capability = Some("8.6".into());
    let mut amd = Gpu::new(Vendor::Amd, "AMD Radeon RX 6800 XT");
    amd.gfx_target = Some("gfx1030".into());
    for gpu in [&mut nvidia, &mut amd] {
        gpu.vulkan = Some("1.3.275".into());
        gpu.vram_bytes = Some(16 << 30);
        gpu.driver = Some("x".into());
    }
    let cpu = Cpu::parse(ZEN4).unwrap();
    Facts { gpus: vec![nvidia, amd], memory_bytes: Some(64 << 30), ..Facts::new("a", cpu) }
}

proptest! {
    /// Removing values causes no error that the complete facts do not cause, and recommends
    /// nothing that they do not support.
    #[test]
    fn removed_values_cause_no_error_and_no_recommendation(
        kept_flags in proptest::option::of(0_usize..150),
        gpus_unknown in any::<bool>(),
        taken in proptest::collection::vec((any::<bool>(), any::<bool>(), any::<bool>()), 2),
        microarch in proptest::sample::select(vec![
            "x86-64-v3", "haswell", "tigerlake", "znver4", "znver5", "sapphirerapids", DISPATCH,
        ]),
        backends in proptest::sample::subsequence(vec!["cpu", "cuda", "rocm", "vulkan"], 1..4),
    ) {
        let (whole, mut less) = (complete(), complete());
        if let Some(count) = kept_flags {
            less.cpu.flags = less.cpu.flags.into_iter().take(count).chain(["lm".into()]).collect();
            less.cpu.flags_cut = true;
        }
        for (gpu, (is_unprobed, no_memory, no_driver)) in less.gpus.iter_mut().zip(taken) {
            if is_unprobed {
                (gpu.cuda_capability, gpu.gfx_target, gpu.vulkan) = (None, None, None);
                gpu.unprobed = true;
            }
            if no_memory {
                gpu.vram_bytes = None;
            }
            if no_driver {
                gpu.driver = None;
            }
        }
        if gpus_unknown {
            less.gpus.clear();
            less.gpus_unknown = true;
        }
        let manifest = variant(microarch, &backends);
        let errors = |facts: &Facts| -> Vec<&'static str> {
            let found = judged(&manifest, facts);
            let errors = found.iter().filter(|(_, severity)| *severity == Severity::Error);
            errors.map(|(code, _)| *code).collect()
        };
        for error in errors(&less) {
            prop_assert!(errors(&whole).contains(&error), "{error}: {less:?}");
        }
        let (all, some) = (Recommendation::new(&whole), Recommendation::new(&less));
        for backend in &some.backend {
            prop_assert!(*backend == "cpu" || *backend == "vulkan" || all.backend.contains(backend));
        }
        prop_assert!(some.cuda_capabilities.iter().all(|it| all.cuda_capabilities.contains(it)));
        prop_assert!(some.rocm_targets.iter().all(|it| all.rocm_targets.contains(it)));
        let runs = Table::embedded().missing(&some.microarch, &whole.cpu);
        prop_assert_eq!(runs, Some(vec![]), "{}", some.microarch);
        prop_assert_eq!(some.microarch == DISPATCH || some.microarch == all.microarch, true);
    }
}
