//! Parses the output of hardware/probe.sh into facts. Only the CPU is required: anything else
//! that is missing or malformed leaves one fact unknown and does not affect the others.
//!
//! Pure: no I/O, no clock.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::findings::finding::{Checked, Finding, none_is_an_error};
use crate::hardware::cores::Cores;
use crate::hardware::cpu::Cpu;
use crate::hardware::facts::{Facts, Gpu, RENDER_NODE, Vendor};
use crate::hardware::microarch::Table;
use crate::hardware::recommendation::Recommendation;
use crate::hardware::{nvidia, pci, rules, vulkan};

#[derive(Debug, Serialize)]
pub struct ProbeReport {
    pub schema: u32,
    pub command: &'static str,
    pub host: String,
    pub target: String,
    pub facts: Option<Facts>,
    pub recommendation: Option<Recommendation>,
    pub findings: Vec<Finding>,
    pub ok: bool,
}

impl ProbeReport {
    pub fn new(host: &str, target: &str, probed: Checked<Facts>) -> Self {
        let findings = match &probed {
            Ok(facts) => unknown(facts),
            Err(finding) => vec![finding.clone()],
        };
        let facts = probed.ok();
        Self {
            schema: 1,
            command: "probe",
            host: host.to_owned(),
            target: target.to_owned(),
            recommendation: facts.as_ref().map(Recommendation::new),
            facts,
            ok: none_is_an_error(&findings),
            findings,
        }
    }
}

/// Reports the facts that could not be read, and how they can be.
pub fn unknown(facts: &Facts) -> Vec<Finding> {
    let has_capability = |gpu: &Gpu| gpu.cuda_capability.is_some();
    let is_only_in_vulkan = |gpu: &Gpu| gpu.pci.is_none() && gpu.vulkan.is_some();
    let unlisted = facts.gpus_of(Vendor::Nvidia).filter(|gpu| {
        let is_known = has_capability(gpu) || nvidia::is_before_maxwell(gpu);
        !is_known && !gpu.unprobed && !is_only_in_vulkan(gpu)
    });
    let mut findings: Vec<Finding> = match &facts.nvidia_smi {
        Some(message) => vec![nvidia::smi_failed(message, &facts.gpus)],
        None if facts.gpus_of(Vendor::Nvidia).any(has_capability) => {
            unlisted.map(nvidia::unlisted).collect()
        }
        None => unlisted.map(nvidia::without_capability).collect(),
    };
    findings.extend(facts.gpus_of(Vendor::Nvidia).filter_map(nvidia::too_old));
    findings.extend(rules::unprobed(facts));
    let (cpu, table) = (&facts.cpu, Table::embedded());
    let names = table.names_of(cpu.arch, &cpu.identity);
    let is_complete = |name: &&str| table.missing(name, cpu).is_some_and(|it| it.is_empty());
    let is_known = !names.is_empty() && names.iter().all(is_complete);
    findings.extend((cpu.flags_cut && !is_known).then(|| {
        Finding::warning(
            "unverified-cpu",
            "the report's list of CPU features is cut off: which others this CPU has is unknown",
            facts.probe_help(),
        )
    }));
    findings
}

const MARK: &str = "#llamafleet ";

/// Parses the probe script's output.
///
/// # Errors
/// A sentence: the output is incomplete, or has no supported CPU.
pub fn read(host: &str, output: &str) -> Result<Facts, String> {
    let sections = sections(output);
    if !sections.contains_key("end") {
        return Err("its output is incomplete".to_owned());
    }
    let section = |name: &str| sections.get(name).map_or("", String::as_str);
    let cpu = Cpu::parse(section("cpuinfo"))?;
    let gpus = gpus(&section);
    // NVIDIA's driver may be installed on a machine without an NVIDIA card: its error is expected.
    let displays = displays(section("pci"));
    let is_gpu = |it: &&Display| Vendor::of_pci(it.device.vendor).is_some();
    let mut cards = displays.iter().filter(is_gpu).map(|it| it.device.gpu()).peekable();
    let may_have_nvidia = cards.peek().is_none()
        || cards.any(|card| card.is_some_and(|gpu| gpu.vendor == Vendor::Nvidia));
    let first = |name| section(name).lines().find(|line| !line.is_empty()).map(str::to_owned);
    Ok(Facts {
        cores: Cores::read(&cpu, &section),
        memory_bytes: memory(section("meminfo")),
        kernel: first("kernel"),
        nix_version: first("nix").and_then(|line| Some(line.rsplit(' ').next()?.to_owned())),
        gpus_unknown: gpus.is_empty() && section("pci").lines().any(|line| line == "UNSEEN"),
        gpus,
        nvidia_smi: nvidia::smi_error(section("nvidia-smi")).filter(|_| may_have_nvidia),
        ..Facts::new(host, cpu)
    })
}

/// Splits the output into its sections, without control characters. Ignores anything before the
/// first mark, which a login shell may print.
pub fn sections(output: &str) -> BTreeMap<String, String> {
    let mut sections: BTreeMap<String, String> = BTreeMap::new();
    let mut current: Option<String> = None;
    for line in output.lines() {
        if let Some(name) = line.strip_prefix(MARK) {
            sections.entry(name.trim().to_owned()).or_default();
            current = Some(name.trim().to_owned());
        } else if let Some(text) = current.as_ref().and_then(|name| sections.get_mut(name)) {
            text.extend(line.chars().filter(|c| *c == '\t' || !c.is_control()));
            text.push('\n');
        }
    }
    sections
}

fn memory(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

fn gpus<'a>(section: &dyn Fn(&str) -> &'a str) -> Vec<Gpu> {
    let vulkan = vulkan::devices(section("vulkan"));
    let mut nodes = kfd_nodes(section("kfd"));
    let mut gpus = nvidia::smi(section("nvidia-smi"));
    nvidia::add_mig_slices(&mut gpus, section("nvidia-list"));
    let mut displays = displays(section("pci"));
    // Sorts the GPUs that nvidia-smi lists first: those with its driver.
    displays.sort_by_key(|display| display.device.driver.as_deref() != Some("nvidia"));
    let mut known_ids: Vec<(u32, u32)> = displays.iter().map(|it| it.device.ids()).collect();
    let api_of = |ids: (u32, u32)| vulkan.iter().find(|api| (api.vendor, api.device) == ids);
    for Display { slot, mut device, vram, render } in displays {
        let api = api_of(device.ids());
        let has_render_node = render && device.has_vulkan_driver();
        let vulkan = match api {
            Some(api) => Some(api.version.clone()),
            None => has_render_node.then(|| RENDER_NODE.to_owned()),
        };
        device.name = device.name.or_else(|| api.map(|api| api.name.clone()));
        let is_named = device.name.is_some();
        let Some(mut gpu) = device.gpu() else { continue };
        gpu.vulkan = vulkan;
        gpu.is_discrete = api.and_then(|api| api.is_discrete).or(gpu.is_discrete);
        if gpu.vendor == Vendor::Nvidia {
            // Adds PCI's data to nvidia-smi's list, which has the same order.
            let is_unmatched = |known: &&mut Gpu| known.vendor == gpu.vendor && known.pci.is_none();
            if let Some(known) = gpus.iter_mut().find(is_unmatched) {
                (known.pci, known.vulkan) = (gpu.pci, gpu.vulkan);
                continue;
            }
            let (name, version) = nvidia::kernel_module(section("nvidia"), &slot);
            gpu.name = name.unwrap_or(gpu.name);
            gpu.driver = version.or(gpu.driver);
        } else {
            let is_node = |node: &Node| node.device == Some(device.device);
            let index = nodes.iter().position(|node| gpu.vendor == Vendor::Amd && is_node(node));
            let node = index.map(|index| nodes.remove(index)).unwrap_or_default();
            if let Some(code) = node.name().filter(|_| !is_named) {
                gpu.name = format!("{} {code}", gpu.vendor.name());
            }
            gpu.gfx_target = node.target;
            gpu.vram_bytes = vram;
        }
        gpus.push(gpu);
    }
    // A container may have ROCm's devices but no PCI.
    for node in nodes {
        let ids = node.device.map(|device| (pci::AMD, device));
        let gpu = ids.and_then(api_of).map(vulkan::Device::gpu);
        let unnamed = || Gpu::new(Vendor::Amd, format!("AMD {}", node.name().unwrap_or("GPU")));
        gpus.push(Gpu { gfx_target: node.target.clone(), ..gpu.unwrap_or_else(unnamed) });
        known_ids.extend(ids);
    }
    without_pci(&mut gpus, &vulkan, &mut known_ids);
    if vulkan.is_empty() {
        gpus.extend(platform_gpus(section("drm")));
    }
    nvidia::jetson(&mut gpus, section("devicetree"));
    for gpu in &mut gpus {
        gpu.unified_memory |= shares_memory(gpu);
    }
    gpus
}

/// Adds GPUs that only Vulkan lists: those of Apple's and other SoCs, of WSL and of virtual
/// machines. Vulkan lists a GPU once per driver.
fn without_pci(gpus: &mut Vec<Gpu>, vulkan: &[vulkan::Device], known: &mut Vec<(u32, u32)>) {
    for api in vulkan {
        if known.contains(&(api.vendor, api.device)) {
            continue;
        }
        known.push((api.vendor, api.device));
        let gpu = api.gpu();
        let is_from_smi = |it: &Gpu| it.vendor == Vendor::Nvidia && it.pci.is_none();
        let mut by_smi = gpus.iter_mut().filter(|it| is_from_smi(it)).peekable();
        if gpu.vendor == Vendor::Nvidia && by_smi.peek().is_some() {
            by_smi.for_each(|it| it.vulkan = gpu.vulkan.clone());
        } else {
            gpus.push(gpu);
        }
    }
}

/// Returns the GPUs of SoCs for which the kernel has a driver. Used without vulkaninfo.
fn platform_gpus(text: &str) -> Vec<Gpu> {
    /// The kernel drivers that Mesa's Vulkan drivers use.
    const DRIVERS: [&str; 8] =
        ["adreno", "asahi", "msm", "msm_dpu", "panfrost", "panthor", "powervr", "v3d"];
    let gpu = |block: &str| {
        let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
        let driver = field("DRIVER=").filter(|driver| DRIVERS.contains(driver))?;
        let name = field("OF_COMPATIBLE_0=").unwrap_or("GPU");
        Some(Gpu {
            driver: Some(driver.to_owned()),
            vulkan: Some(RENDER_NODE.to_owned()),
            is_discrete: Some(false),
            ..Gpu::new(Vendor::Other, format!("{name} ({driver})"))
        })
    };
    text.split("\n\n").filter_map(gpu).collect()
}

/// Whether a GPU is part of a processor and shares the machine's memory.
fn shares_memory(gpu: &Gpu) -> bool {
    /// Targets that only integrated GPUs have.
    const INTEGRATED: [&str; 11] = [
        "gfx902", "gfx909", "gfx90c", "gfx1033", "gfx1035", "gfx1036", "gfx1103", "gfx1150",
        "gfx1151", "gfx1152", "gfx1153",
    ];
    let is_apu = gpu.gfx_target.as_deref().is_some_and(|it| INTEGRATED.contains(&it));
    let is_integrated = gpu.is_discrete == Some(false) && gpu.vendor != Vendor::Nvidia;
    let is_gb10 = gpu.name.contains("GB10") && gpu.vram_bytes.is_none();
    is_gb10 || is_apu || is_integrated
}

#[derive(Default)]
struct Display {
    slot: String,
    device: pci::Device,
    vram: Option<u64>,
    render: bool,
}

/// Parses the uevent of each display device, with probe.sh's additions; empty lines separate
/// them.
fn displays(text: &str) -> Vec<Display> {
    let mut displays = vec![];
    for block in text.split("\n\n") {
        let mut display = Display::default();
        let device = &mut display.device;
        for (key, value) in block.lines().filter_map(|line| line.split_once('=')) {
            let value = value.trim();
            match key {
                "PCI_ID" => {
                    let ids = value.split_once(':');
                    let hex = |text| u32::from_str_radix(text, 16).unwrap_or_default();
                    (device.vendor, device.device) =
                        ids.map_or((0, 0), |(vendor, id)| (hex(vendor), hex(id)));
                }
                "PCI_CLASS" => device.class = u32::from_str_radix(value, 16).unwrap_or_default(),
                "PCI_SLOT_NAME" => value.clone_into(&mut display.slot),
                "DRIVER" => device.driver = Some(value.to_owned()),
                "VRAM" => display.vram = value.parse().ok(),
                "PRODUCT" if !value.is_empty() => device.name = Some(value.to_owned()),
                "RENDER" => display.render = true,
                _ => {}
            }
        }
        displays.push(display);
    }
    displays
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Node {
    name: Option<String>,
    device: Option<u32>,
    target: Option<String>,
}

impl Node {
    /// Returns the name, or the target: since GFX11 the kernel gives every GPU the same name.
    fn name(&self) -> Option<&str> {
        let name = self.name.as_deref().filter(|name| *name != "ip discovery");
        name.or(self.target.as_deref())
    }
}

/// Returns the GPUs of amdgpu's topology. CPUs are nodes too, without a target.
fn kfd_nodes(text: &str) -> Vec<Node> {
    let mut nodes: Vec<Node> = vec![];
    for (key, value) in text.lines().filter_map(|line| line.trim().split_once(' ')) {
        if key == "node" {
            nodes.push(Node::default());
        }
        let Some(node) = nodes.last_mut() else { continue };
        match key {
            "name" => node.name = Some(value.trim().to_owned()).filter(|name| !name.is_empty()),
            "device_id" => node.device = value.trim().parse().ok(),
            "gfx_target_version" => node.target = value.trim().parse().ok().and_then(gfx_target),
            _ => {}
        }
    }
    nodes.retain(|node| node.target.is_some());
    nodes
}

/// Formats a target version: 90006 is gfx906 and 90010 is gfx90a. The last two of its three
/// numbers become hexadecimal digits.
fn gfx_target(version: u32) -> Option<String> {
    let (major, minor, stepping) = (version / 10_000, version / 100 % 100, version % 100);
    (major > 0 && minor < 16 && stepping < 16).then(|| format!("gfx{major}{minor:x}{stepping:x}"))
}

#[cfg(test)]
#[path = "probe_output_tests.rs"]
mod tests;
