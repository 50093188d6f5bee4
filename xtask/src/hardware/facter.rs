//! Reads a nixos-facter report: the CPU and its flags, the memory and the GPUs. Unlike `probe`,
//! it has nothing about CUDA, ROCm and Vulkan.
//!
//! Pure: no I/O, no clock.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::hardware::cores::Cores;
use crate::hardware::cpu::{Arch, Cpu, Identity};
use crate::hardware::facts::{self, Facts, Gpu};
use crate::hardware::pci;
use crate::ui::sanitize::sanitize_name;

/// Parses a report into facts.
///
/// # Errors
/// A sentence: why the text is not a report with a supported CPU.
pub fn read(host: &str, text: &str) -> Result<Facts, String> {
    let report: Value =
        serde_json::from_str(text).map_err(|error| format!("it is not JSON ({error})"))?;
    let hardware = &report["hardware"];
    let cpu = cpu(hardware)?;
    Ok(Facts {
        cores: Cores::of_report(list(&hardware["cpu"])),
        memory_bytes: memory(hardware),
        gpus: cards(hardware),
        gpus_unknown: !lists_gpus(hardware, cpu.arch),
        ..Facts::new(host, cpu)
    })
}

/// Names the GPUs that have only PCI numbers, as in this report.
pub fn name_gpus(facts: &mut Facts, text: &str) {
    let Ok(report) = serde_json::from_str::<Value>(text) else { return };
    for card in cards(&report["hardware"]) {
        let numbers = card.pci.as_deref().unwrap_or_default();
        let unnamed = |gpu: &&mut Gpu| gpu.pci == card.pci && gpu.name.ends_with(numbers);
        if let Some(gpu) = facts.gpus.iter_mut().find(unnamed) {
            card.name.clone_into(&mut gpu.name);
        }
    }
}

fn cpu(hardware: &Value) -> Result<Cpu, String> {
    let all = list(&hardware["cpu"]);
    // One entry per socket number; an unused number has an empty entry.
    let used = || all.iter().filter(|entry| entry["features"].is_array());
    let first = used()
        .next()
        .or(all.first())
        .ok_or("it is not a nixos-facter report: it has no `hardware.cpu`")?;
    let arch = match first["architecture"].as_str() {
        Some("aarch64") => Arch::Aarch64,
        Some("x86_64") | None => Arch::X86_64,
        Some(other) => {
            return Err(format!("its CPU is {other}, which llamafleet does not support"));
        }
    };
    let mut flags_cut = false;
    let mut flags = |cpu: &Value| -> BTreeSet<String> {
        let mut words: Vec<&str> =
            list(&cpu["features"]).iter().filter_map(Value::as_str).collect();
        if arch == Arch::X86_64 && is_cut(&words) {
            flags_cut = true;
            // The last word may be truncated.
            words.pop();
        }
        words.into_iter().map(str::to_owned).collect()
    };
    let first_flags = flags(first);
    let common = used().fold(first_flags, |common, cpu| &common & &flags(cpu));
    if common.is_empty() {
        return Err("its `hardware.cpu` has no `features`".to_owned());
    }
    let number = |name: &str| first[name].as_u64().and_then(|n| u32::try_from(n).ok());
    Ok(Cpu {
        arch,
        microarch: None,
        model: first["model_name"].as_str().map(sanitize_name),
        flags: common,
        flags_cut,
        identity: Identity {
            vendor: first["vendor_name"].as_str().unwrap_or_default().to_owned(),
            family: number("family").unwrap_or_default(),
            model: number("model").unwrap_or_default(),
        },
    })
}

/// Whether hwinfo truncated a CPU's features: its buffer of 1,024 bytes is too small for many
/// CPUs.
fn is_cut(words: &[&str]) -> bool {
    // Complete flags that are also a prefix of another.
    const WHOLE: [&str; 3] = ["avx", "ss", "sse"];
    const LONGER: [&str; 9] = [
        "amx_bf16",
        "amx_int8",
        "amx_tile",
        "avx2",
        "avx512_bf16",
        "avx512_vnni",
        "avx512vbmi",
        "avx_vnni",
        "sse4_2",
    ];
    let broken = words.last().is_some_and(|last| {
        let begins = |whole: &&str| whole.len() > last.len() && whole.starts_with(last);
        !WHOLE.contains(last) && LONGER.iter().any(begins)
    });
    broken || facts::is_cut(words.iter().copied())
}

/// Whether the report would list a GPU: it lists PCI devices, but the GPU of an ARM board or a
/// Jetson is not on PCI.
fn lists_gpus(hardware: &Value, arch: Arch) -> bool {
    const DEVICES: [&str; 7] = [
        "graphics_card",
        "bridge",
        "disk",
        "network_controller",
        "network_interface",
        "storage_controller",
        "usb_controller",
    ];
    let names = if arch == Arch::Aarch64 { &DEVICES[..1] } else { &DEVICES[..] };
    names.iter().any(|name| !hardware[*name].is_null())
}

fn memory(hardware: &Value) -> Option<u64> {
    let resources = list(&hardware["memory"]).iter().flat_map(|memory| list(&memory["resources"]));
    let physical = resources.filter(|resource| resource["type"] == "phys_mem");
    physical.filter_map(|resource| resource["range"].as_u64()).reduce(u64::saturating_add)
}

fn cards(hardware: &Value) -> Vec<Gpu> {
    const ACCELERATOR: u32 = 0x12;
    // hwinfo does not list accelerators as graphics cards, but some AMD GPUs are accelerators.
    let accelerators =
        list(&hardware["pci"]).iter().filter(|it| id(&it["base_class"]) == Some(ACCELERATOR));
    let card = |card: &Value| {
        // hwinfo without its device list prints `ATI VGA compatible controller`.
        let text = |value: &Value| {
            let name = value.as_str().filter(|name| !name.ends_with("controller"));
            name.filter(|name| !name.starts_with("unknown")).map(sanitize_name)
        };
        let device = pci::Device {
            class: id(&card["base_class"]).unwrap_or_default() << 16,
            vendor: id(&card["vendor"])?,
            device: id(&card["device"]).unwrap_or_default(),
            driver: text(&card["driver"]).or_else(|| text(&card["drivers"][0])),
            name: [&card["model"], &card["device"]["name"]].into_iter().find_map(text),
        };
        Some(Gpu { unprobed: true, ..device.gpu()? })
    };
    list(&hardware["graphics_card"]).iter().chain(accelerators).filter_map(card).collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn id(id: &Value) -> Option<u32> {
    let text = id["hex"].as_str().map(|hex| u32::from_str_radix(hex, 16));
    text.and_then(Result::ok).or_else(|| u32::try_from(id["value"].as_u64()?).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written after the report's documentation; not a recording.
    const REPORT: &str = r#"{"version": 1, "system": "x86_64-linux", "hardware": {
        "cpu": [{"architecture": "x86_64", "vendor_name": "AuthenticAMD", "family": 25,
            "model": 33, "features": ["lm", "avx2", "sse4_2", "sse4_1", "ssse3", "pni", "popcnt",
            "avx", "xsave", "f16c", "fma", "bmi2"], "siblings": 24, "cores": 12}],
        "memory": [{"resources": [{"type": "phys_mem", "range": 34359738368}]}],
        "graphics_card": [{"vendor": {"hex": "10de", "value": 4318}, "device": {"hex": "1fbc"},
            "model": "nVidia TU117GLM", "driver": "nvidia"}, {"vendor": {"hex": "1a03"}}]}}"#;

    #[test]
    fn a_report_becomes_facts() {
        let facts = read("a", REPORT).unwrap();
        assert_eq!(facts.cpu.microarch.as_deref(), Some("znver3"));
        assert_eq!(facts.memory_bytes, Some(32 << 30));
        let cores = facts.cores.map(|cores| (cores.physical, cores.logical, cores.kinds.len()));
        assert_eq!(cores, Some((12, 24, 0)));
        assert_eq!(facts.gpus.len(), 1);
        assert_eq!(facts.gpus[0].name, "nVidia TU117GLM");
        assert_eq!(facts.gpus[0].driver.as_deref(), Some("nvidia"));
    }

    #[test]
    fn a_socket_number_that_is_not_in_use_is_skipped() {
        let gap = r#""cpu": [{"architecture": "unknown", "features": null}, {"#;
        let facts = read("a", &REPORT.replace(r#""cpu": [{"#, gap)).unwrap();
        assert_eq!(facts, read("a", REPORT).unwrap());
    }

    #[test]
    fn other_texts_are_rejected() {
        assert!(read("a", "[").unwrap_err().contains("not JSON"));
        assert!(read("a", "{}").unwrap_err().contains("hardware.cpu"));
        let bare = r#"{"hardware": {"cpu": [{}]}}"#;
        assert!(read("a", bare).unwrap_err().contains("features"));
    }

    #[test]
    fn a_card_without_a_name_gets_the_name_of_the_report() {
        let mut facts = read("a", REPORT).unwrap();
        facts.gpus[0].name = "NVIDIA 10de:1fbc".into();
        name_gpus(&mut facts, REPORT);
        assert_eq!(facts.gpus[0].name, "nVidia TU117GLM");
        facts.gpus[0].name = "NVIDIA T1200".into();
        name_gpus(&mut facts, REPORT);
        assert_eq!(facts.gpus[0].name, "NVIDIA T1200");
    }

    /// hwinfo prints such names without its device list.
    #[test]
    fn a_generic_name_is_replaced_by_numbers() {
        let name = |text: &str| {
            let report = REPORT.replace("nVidia TU117GLM", text);
            read("a", &report).unwrap().gpus[0].name.clone()
        };
        assert_eq!(name("nVidia VGA compatible controller"), "NVIDIA 10de:1fbc");
        assert_eq!(name("3D controller"), "NVIDIA 10de:1fbc");
    }

    #[test]
    fn an_accelerator_is_read_from_the_pci_devices() {
        let pci = r#""pci": [{"base_class": {"hex": "0012", "value": 18}, "driver": "amdgpu",
            "vendor": {"hex": "1002"}, "device": {"hex": "74a1"}, "model": "unknown unknown"},
            {"base_class": {"value": 18}, "vendor": {"hex": "8086"}}], "graphics_card": ["#;
        let report = REPORT.replace(r#""graphics_card": ["#, pci);
        let gpus = read("a", &report).unwrap().gpus;
        assert_eq!(
            gpus.iter().map(|gpu| &*gpu.name).collect::<Vec<_>>(),
            ["nVidia TU117GLM", "AMD 1002:74a1"]
        );
    }

    /// hwinfo lists PCI devices; the GPU of an ARM board is not on PCI.
    #[test]
    fn whether_an_arm_board_has_a_gpu_is_unknown() {
        let board = r#"{"hardware": {"cpu": [{"architecture": "aarch64", "vendor_name":
            "ARM Limited", "features": ["fp", "asimd"]}], "disk": []}}"#;
        let unknown = |text: &str| {
            let facts = read("a", text).unwrap();
            facts.gpus_unknown
        };
        assert!(unknown(board));
        let server =
            board.replace("\"disk\": []", r#""graphics_card": [{"vendor": {"hex": "1a03"}}]"#);
        assert!(!unknown(&server));
    }
}
