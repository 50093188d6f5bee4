//! What hardware/probe.sh printed, read into facts. Machines differ: what is missing or
//! strange costs one fact, never the rest; only a CPU must be there.
//!
//! Pure: no I/O, no clock.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::findings::finding::{Finding, none_is_an_error};
use crate::hardware::cores::Cores;
use crate::hardware::cpu::Cpu;
use crate::hardware::facts::{Facts, Gpu, Vendor};
use crate::hardware::microarch::Table;
use crate::hardware::recommendation::Recommendation;

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
    pub fn new(host: &str, target: &str, facts: Facts, table: &Table) -> Self {
        let recommendation = Recommendation::new(&facts, table);
        let findings = undriven(&facts);
        Self {
            facts: Some(facts),
            recommendation: Some(recommendation),
            ok: none_is_an_error(&findings),
            findings,
            ..Self::blank(host, target)
        }
    }

    pub fn refused(host: &str, target: &str, finding: Finding) -> Self {
        Self { findings: vec![finding], ..Self::blank(host, target) }
    }

    fn blank(host: &str, target: &str) -> Self {
        Self {
            schema: 1,
            command: "probe",
            host: host.to_owned(),
            target: target.to_owned(),
            facts: None,
            recommendation: None,
            findings: vec![],
            ok: false,
        }
    }
}

/// NVIDIA cards of which only the numbers are known.
fn undriven(facts: &Facts) -> Vec<Finding> {
    let silent = facts.gpus_of(Vendor::Nvidia).filter(|gpu| gpu.cuda_capability.is_none());
    silent
        .map(|gpu| {
            Finding::warning(
                "unknown-capability",
                format!("{}: cannot read its CUDA capability without nvidia-smi", gpu.name),
                "install NVIDIA's driver on the machine and probe it again; or look the card up at \
                 developer.nvidia.com/cuda-gpus",
            )
        })
        .collect()
}

const MARK: &str = "#llamafleet ";

/// # Errors
/// A sentence: the answer is not whole, or has no CPU that is known.
pub fn read(host: &str, answer: &str, table: &Table) -> Result<Facts, String> {
    let sections = sections(answer);
    if !sections.contains_key("end") {
        return Err("its output is incomplete".to_owned());
    }
    let section = |name: &str| sections.get(name).map_or("", String::as_str);
    let cpu = Cpu::parse(section("cpuinfo"))?;
    let microarch = table.detect(&cpu).map(|detected| detected.name);
    let first = |name| section(name).lines().find(|line| !line.is_empty()).map(str::to_owned);
    Ok(Facts {
        cores: Cores::read(&cpu, &section),
        memory_bytes: memory(section("meminfo")),
        kernel: first("kernel"),
        nix_version: first("nix").and_then(|line| Some(line.rsplit(' ').next()?.to_owned())),
        gpus: gpus(&section),
        ..Facts::new(host, cpu, microarch)
    })
}

/// What a login shell prints by itself stands before the first mark. Nothing that could
/// steer a terminal is let through.
pub fn sections(answer: &str) -> BTreeMap<String, String> {
    let mut sections: BTreeMap<String, String> = BTreeMap::new();
    let mut current: Option<String> = None;
    for line in answer.lines() {
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
    let vulkan = vulkan_devices(section("vulkan"));
    let mut nodes = kfd_nodes(section("kfd"));
    let asked = nvidia_smi(section("nvidia-smi"));
    let mut gpus = asked.clone();
    for device in pci_devices(section("pci")) {
        let Some(vendor) = Vendor::of_pci(device.vendor) else { continue };
        // Handed to a virtual machine: it is not this one's to use.
        if device.driver.as_deref() == Some("vfio-pci") {
            continue;
        }
        let pci = Some(format!("{:04x}:{:04x}", device.vendor, device.device));
        let api = vulkan.iter().find(|v| (v.vendor, v.device) == (device.vendor, device.device));
        let reach = api.map(|api| api.version.clone());
        let reach = reach.or_else(|| device.render.then(|| "render-node".to_owned()));
        let named = |default: String| {
            let names = [device.product.clone(), api.map(|api| api.name.clone())];
            names.into_iter().flatten().next().unwrap_or(default)
        };
        let unnamed = format!("{} {}", vendor.name(), pci.as_deref().unwrap_or_default());
        match vendor {
            // nvidia-smi knows them all; PCI adds what it does not tell, in the same order.
            Vendor::Nvidia if !asked.is_empty() => {
                let open = gpus.iter_mut().find(|gpu| gpu.vendor == vendor && gpu.pci.is_none());
                if let Some(gpu) = open {
                    gpu.pci = pci;
                    gpu.vulkan = reach;
                }
            }
            Vendor::Nvidia => {
                let known = kernel_module(section("nvidia"), &device.slot);
                let name = known.name.unwrap_or_else(|| named(unnamed));
                let driver = known.driver;
                gpus.push(Gpu { pci, driver, vulkan: reach, ..Gpu::new(vendor, name) });
            }
            _ => {
                let at = nodes
                    .iter()
                    .position(|node| node.device == Some(device.device) && vendor == Vendor::Amd);
                let node = at.map(|at| nodes.remove(at));
                let code = node.as_ref().and_then(|node| node.name().map(str::to_owned));
                let code = code.map(|code| format!("{} {code}", vendor.name()));
                gpus.push(Gpu {
                    pci,
                    gfx_target: node.and_then(|node| node.target),
                    vram_bytes: device.vram,
                    vulkan: reach,
                    driver: device.driver,
                    ..Gpu::new(vendor, named(code.unwrap_or(unnamed)))
                });
            }
        }
    }
    // A container may see ROCm's devices and no PCI.
    gpus.extend(nodes.into_iter().map(|node| {
        let name = format!("AMD {}", node.name().unwrap_or("GPU"));
        Gpu { gfx_target: node.target, ..Gpu::new(Vendor::Amd, name) }
    }));
    gpus
}

/// `nvidia-smi --query-gpu=… --format=csv`: a header, then a line each. Names may hold
/// commas, so that the columns are counted from the right.
fn nvidia_smi(text: &str) -> Vec<Gpu> {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let Some(header) = lines.next().filter(|line| line.starts_with("name,")) else {
        return vec![];
    };
    let columns: Vec<&str> = header.split(',').map(str::trim).collect();
    let row = |line: &str| {
        let mut cells: Vec<&str> = line.rsplitn(columns.len(), ',').map(str::trim).collect();
        cells.reverse();
        (cells.len() == columns.len()).then_some(())?;
        let cell = |name: &str| {
            let at = columns.iter().position(|column| column.starts_with(name))?;
            Some(cells[at]).filter(|cell| !cell.is_empty() && !cell.starts_with('['))
        };
        let capability = cell("compute_cap").filter(|text| is_capability(text));
        Some(Gpu {
            cuda_capability: capability.map(str::to_owned),
            driver: cell("driver_version").map(str::to_owned),
            vram_bytes: cell("memory.total").and_then(mebibytes),
            ..Gpu::new(Vendor::Nvidia, cell("name").unwrap_or("NVIDIA GPU"))
        })
    };
    lines.filter_map(row).collect()
}

fn mebibytes(text: &str) -> Option<u64> {
    text.strip_suffix("MiB")?.trim().parse::<u64>().ok()?.checked_mul(1 << 20)
}

/// `8.6`: it goes into Nix code, so nothing else does.
pub fn is_capability(text: &str) -> bool {
    let number =
        |part: &str| (1..=2).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    text.split_once('.').is_some_and(|(major, minor)| number(major) && number(minor))
}

#[derive(Default)]
struct Module {
    name: Option<String>,
    driver: Option<String>,
}

/// What NVIDIA's kernel module says of itself and of the GPU in this slot.
fn kernel_module(text: &str, slot: &str) -> Module {
    let mut module = Module::default();
    let mut model = None;
    for line in text.lines() {
        if let Some(version) = line.strip_prefix("NVRM version:") {
            let is_version = |word: &&str| {
                word.contains('.') && word.split('.').all(|n| n.parse::<u32>().is_ok())
            };
            module.driver = version.split_whitespace().find(is_version).map(str::to_owned);
        } else if let Some(name) = line.strip_prefix("Model:") {
            model = Some(name.trim().to_owned());
        } else if let Some(place) = line.strip_prefix("Bus Location:")
            && place.trim().eq_ignore_ascii_case(slot)
        {
            module.name = model.take();
        }
    }
    module
}

#[derive(Default)]
struct Pci {
    slot: String,
    vendor: u32,
    device: u32,
    driver: Option<String>,
    product: Option<String>,
    vram: Option<u64>,
    render: bool,
}

/// The uevent of each, with what probe.sh adds; an empty line ends it.
fn pci_devices(text: &str) -> Vec<Pci> {
    let mut devices = vec![];
    for block in text.split("\n\n") {
        let mut device = Pci::default();
        for (key, value) in block.lines().filter_map(|line| line.split_once('=')) {
            let value = value.trim();
            match key {
                "PCI_ID" => {
                    let ids = value.split_once(':');
                    let hex = |text| u32::from_str_radix(text, 16).unwrap_or_default();
                    (device.vendor, device.device) =
                        ids.map_or((0, 0), |(vendor, id)| (hex(vendor), hex(id)));
                }
                "PCI_SLOT_NAME" => value.clone_into(&mut device.slot),
                "DRIVER" => device.driver = Some(value.to_owned()),
                "VRAM" => device.vram = value.parse().ok(),
                "PRODUCT" if !value.is_empty() => device.product = Some(value.to_owned()),
                "RENDER" => device.render = true,
                _ => {}
            }
        }
        if device.vendor != 0 {
            devices.push(device);
        }
    }
    devices
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Node {
    name: Option<String>,
    device: Option<u32>,
    target: Option<String>,
}

impl Node {
    /// Since GFX11 the kernel has one name for all.
    fn name(&self) -> Option<&str> {
        let own = self.name.as_deref().filter(|name| *name != "ip discovery");
        own.or(self.target.as_deref())
    }
}

/// The GPUs of amdgpu's topology; the processor is a node of it too, without a target.
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

/// 90006 is gfx906 and 90010 gfx90a: the last two of three numbers are hexadecimal digits.
fn gfx_target(version: u32) -> Option<String> {
    let (major, minor, stepping) = (version / 10_000, version / 100 % 100, version % 100);
    (major > 0 && minor < 16 && stepping < 16).then(|| format!("gfx{major}{minor:x}{stepping:x}"))
}

struct Vulkan {
    vendor: u32,
    device: u32,
    name: String,
    version: String,
}

/// `vulkaninfo --summary`, without drivers that are programs (llvmpipe).
fn vulkan_devices(text: &str) -> Vec<Vulkan> {
    let mut devices = vec![];
    for block in text.split("\nGPU").skip(1) {
        let field = |name: &str| {
            let fields = block.lines().filter_map(|line| line.split_once('='));
            fields.map(|(key, value)| (key.trim(), value.trim())).find(|(key, _)| *key == name)
        };
        let field = |name: &str| field(name).map(|(_, value)| value);
        let hex = |name: &str| u32::from_str_radix(field(name)?.strip_prefix("0x")?, 16).ok();
        if field("deviceType").is_some_and(|kind| kind.ends_with("_CPU")) {
            continue;
        }
        if let (Some(vendor), Some(device)) = (hex("vendorID"), hex("deviceID")) {
            devices.push(Vulkan {
                vendor,
                device,
                name: field("deviceName").unwrap_or("GPU").to_owned(),
                version: field("apiVersion").unwrap_or("vulkan").to_owned(),
            });
        }
    }
    devices
}

#[cfg(test)]
#[path = "probe_output_tests.rs"]
mod tests;
