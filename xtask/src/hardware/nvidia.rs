//! Parses what nvidia-smi, NVIDIA's kernel module and a Jetson's device tree report about GPUs.
//!
//! Pure: no I/O, no clock.

use std::ops::Range;

use crate::findings::finding::Finding;
use crate::hardware::facts::{Gpu, Vendor};
use crate::hardware::gpu_targets::{is_capability, is_too_old};

/// The SoCs of Jetsons: the name in the device tree, in nvidia-smi, and the CUDA capability.
const JETSONS: [(&str, &str, &str); 6] = [
    ("tegra124", "K1", "3.2"),
    ("tegra210", "X1", "5.3"),
    ("tegra186", "X2", "6.2"),
    ("tegra194", "Xavier", "7.2"),
    ("tegra234", "Orin", "8.7"),
    ("tegra264", "Thor", "11.0"),
];

/// Device IDs of Maxwell, Pascal and Volta: the GPUs that CUDA 12 supports and drivers from 590 on
/// ignore. Lower numbers are older GPUs, higher ones are Turing and later.
const MAXWELL_TO_VOLTA: Range<u32> = 0x1340..0x1e00;

const LEGACY_HELP: &str = "set services.xserver.videoDrivers = [ \"nvidia\" ], hardware.nvidia.branch = \
                      \"legacy_580\" and hardware.nvidia.open = false on the host and reboot, then \
                      probe it again: later drivers ignore this GPU";

const DRIVER_HELP: &str = "set services.xserver.videoDrivers = [ \"nvidia\" ] on the host and reboot, then \
                      probe it again; or look the card up at developer.nvidia.com/cuda-gpus";

/// The output of `nvidia-smi --query-gpu=… --format=csv`.
struct Table<'a> {
    columns: Vec<&'a str>,
    rows: Vec<Vec<String>>,
    /// Lines that are not rows.
    others: Vec<&'a str>,
}

impl<'a> Table<'a> {
    /// Parses the lines from the header on; there may be banners before it. Only a GPU's name may
    /// contain commas.
    fn read(text: &'a str) -> Option<Self> {
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let columns: Vec<&str> = lines.find_map(|line| {
            let columns: Vec<&str> = line.split(',').map(str::trim).collect();
            (columns.len() > 1 && columns.contains(&"name")).then_some(columns)
        })?;
        let name = columns.iter().position(|column| *column == "name")?;
        let (mut rows, mut others) = (vec![], vec![]);
        for line in lines {
            let mut cells: Vec<String> =
                line.split(',').map(|cell| cell.trim().to_owned()).collect();
            if let Some(more) = cells.len().checked_sub(columns.len()) {
                let whole = cells[name..=name + more].join(", ");
                cells.splice(name..=name + more, [whole]);
                rows.push(cells);
            } else {
                others.push(line);
            }
        }
        Some(Self { columns, rows, others })
    }

    fn cell<'b>(&self, row: &'b [String], name: &str) -> &'b str {
        let at = self.columns.iter().position(|column| column.starts_with(name));
        at.map_or("", |at| row[at].as_str())
    }
}

/// Whether a value is unknown or unsupported: `[N/A]`, `[Not Supported]`.
fn is_absent(cell: &str) -> bool {
    let word = cell.trim_matches(['[', ']']);
    ["", "N/A", "Not Supported", "Not Available", "Insufficient Permissions"].contains(&word)
}

/// Whether a value is an error: `[Unknown Error]`, `[GPU requires reset]`, `ERR!`.
fn is_error(cell: &str) -> bool {
    !is_absent(cell) && (cell.starts_with('[') || cell == "ERR!")
}

/// Parses the GPUs of nvidia-smi's table.
pub fn smi(text: &str) -> Vec<Gpu> {
    let Some(table) = Table::read(text) else { return vec![] };
    let gpu = |row: &Vec<String>| {
        let cell = |name: &str| {
            Some(table.cell(row, name)).filter(|cell| !is_absent(cell) && !is_error(cell))
        };
        let name = cell("name").unwrap_or("NVIDIA GPU");
        let capability = cell("compute_cap").filter(|text| is_capability(text));
        let jetson = JETSONS.iter().find(|(_, word, _)| is_jetson(name) && name.contains(word));
        Gpu {
            cuda_capability: capability.or(jetson.map(|(.., known)| *known)).map(str::to_owned),
            driver: cell("driver_version").map(str::to_owned),
            vram_bytes: cell("memory.total").and_then(mebibytes),
            unified_memory: jetson.is_some(),
            ..Gpu::new(Vendor::Nvidia, name)
        }
    };
    table.rows.iter().map(gpu).collect()
}

/// Whether a GPU is a Jetson's and not, for example, an "NVIDIA RTX A2000".
fn is_jetson(name: &str) -> bool {
    ["nvgpu", "Jetson", "Tegra", "NVIDIA Thor"].iter().any(|word| name.contains(word))
}

/// Returns nvidia-smi's error message, if it listed no GPU or could not read one. None if it read
/// all GPUs or is not installed.
pub fn smi_error(text: &str) -> Option<String> {
    let mut lines: Vec<String> = vec![];
    let mut add = |line: String| {
        // Drivers before 510 do not have that field.
        if !lines.contains(&line) && !line.contains("compute_cap") && lines.len() < 3 {
            lines.push(line);
        }
    };
    match Table::read(text).filter(|table| !table.rows.is_empty()) {
        Some(table) => {
            let is_lost = |line: &&str| line.contains("device handle") || line.contains("is lost");
            table.others.iter().copied().filter(is_lost).map(str::to_owned).for_each(&mut add);
            for row in &table.rows {
                let cells = ["name", "compute_cap", "driver_version"].map(|of| table.cell(row, of));
                if let Some(error) = cells.into_iter().find(|cell| is_error(cell)) {
                    add(format!("{}: {error}", if is_error(cells[0]) { "GPU" } else { cells[0] }));
                }
            }
        }
        None => {
            let lines = text.lines().map(str::trim);
            let messages = lines.filter(|line| !line.is_empty() && !line.starts_with("name,"));
            messages.map(str::to_owned).for_each(&mut add);
        }
    }
    (!lines.is_empty()).then(|| lines.join("; "))
}

fn device(gpu: &Gpu) -> Option<u32> {
    u32::from_str_radix(gpu.pci.as_ref()?.strip_prefix("10de:")?, 16).ok()
}

/// Whether the GPU is older than every CUDA version that builds llama.cpp supports.
pub fn is_before_maxwell(gpu: &Gpu) -> bool {
    match &gpu.cuda_capability {
        Some(capability) => is_too_old(capability),
        None => device(gpu).is_some_and(|device| device < MAXWELL_TO_VOLTA.start),
    }
}

/// Returns the help for a GPU that nvidia-smi did not list.
fn driver_help(gpu: &Gpu) -> &'static str {
    let has_driver = gpu.driver.is_some() && !gpu.is_on_nouveau();
    let is_old = device(gpu).is_some_and(|device| MAXWELL_TO_VOLTA.contains(&device));
    match (has_driver, is_old) {
        (true, _) => {
            "run nvidia-smi on the machine, where it may hang; or look the card up at \
             developer.nvidia.com/cuda-gpus"
        }
        (false, true) => LEGACY_HELP,
        (false, false) => DRIVER_HELP,
    }
}

/// Reports an error message of nvidia-smi, with the help for known ones.
pub fn smi_failed(message: &str, gpus: &[Gpu]) -> Finding {
    const NO_DRIVER: [&str; 3] =
        ["No devices were found", "communicate with the NVIDIA driver", "Driver Not Loaded"];
    const HELP: [(&str, &str); 9] = [
        (
            "version mismatch",
            "reboot the machine: the driver was updated, and its old kernel module is still loaded",
        ),
        (
            "No devices were found",
            "reboot the machine if it worked before; `journalctl -k -g NVRM` there says why the \
             driver does not use the GPU",
        ),
        ("communicate with the NVIDIA driver", DRIVER_HELP),
        ("Driver Not Loaded", DRIVER_HELP),
        (
            "libnvidia-ml",
            "set hardware.graphics.enable = true on the host: nvidia-smi needs the driver's \
             libraries",
        ),
        (
            // `Insufficient Permissions`, `you do not have suffient permissions` (sic)
            "ermissions",
            "log in as a user who may use the GPU's devices: users.users.NAME.extraGroups",
        ),
        // WSL.
        (
            "blocked by the operating system",
            "update NVIDIA's driver in Windows, then run `wsl --shutdown` there",
        ),
        ("is lost", "reboot the machine: the GPU no longer answers"),
        ("requires reset", "stop what uses the GPU and run `nvidia-smi --gpu-reset`, or reboot"),
    ];
    let known = HELP.iter().find(|(pattern, _)| message.contains(pattern)).map(|(_, help)| *help);
    // The driver also fails if it ignores the only GPU.
    let legacy = gpus.iter().map(driver_help).find(|help| *help == LEGACY_HELP);
    let known = legacy.filter(|_| NO_DRIVER.iter().any(|it| message.contains(it))).or(known);
    Finding::warning(
        "nvidia-smi",
        format!("nvidia-smi: {message}"),
        known.unwrap_or(
            "run nvidia-smi on the machine; after a driver update or a GPU error, reboot",
        ),
    )
}

/// Reports a GPU whose CUDA capability is unknown because nvidia-smi did not run, or is too old.
pub fn without_capability(gpu: &Gpu) -> Finding {
    let (name, driver) = (&gpu.name, gpu.driver.as_deref().unwrap_or_default());
    if gpu.is_on_nouveau() {
        return Finding::warning(
            "wrong-driver",
            format!("{name} uses the driver {driver}, but CUDA needs NVIDIA's"),
            driver_help(gpu),
        );
    }
    let version = driver.split('.').next().and_then(|major| major.parse::<u32>().ok());
    let problem = match version {
        Some(..510) => format!("driver {driver} does not report its CUDA capability"),
        _ => "cannot read its CUDA capability without nvidia-smi".to_owned(),
    };
    let help = match version {
        Some(..510) => {
            "use driver 510 or later, or look the card up at developer.nvidia.com/cuda-gpus"
        }
        _ => driver_help(gpu),
    };
    Finding::warning("unknown-capability", format!("{name}: {problem}"), help)
}

/// Reports a GPU that nvidia-smi does not list although it lists others.
pub fn unlisted(gpu: &Gpu) -> Finding {
    if gpu.is_on_nouveau() {
        return without_capability(gpu);
    }
    let help = match driver_help(gpu) {
        LEGACY_HELP => LEGACY_HELP,
        _ => {
            "look it up at developer.nvidia.com/cuda-gpus; an older card may need another \
             hardware.nvidia.package"
        }
    };
    Finding::warning(
        "unknown-capability",
        format!("{}: its CUDA capability is unknown, as nvidia-smi does not list it", gpu.name),
        help,
    )
}

/// Reports a GPU that is older than every CUDA that builds llama.cpp supports.
pub fn too_old(gpu: &Gpu) -> Option<Finding> {
    let what = gpu.cuda_capability.as_deref().unwrap_or("this GPU");
    is_before_maxwell(gpu).then(|| {
        Finding::warning(
            "cuda-version",
            format!("{}: no CUDA version that can build llama.cpp supports {what}", gpu.name),
            "use another backend; NVIDIA's driver for this card may have Vulkan",
        )
    })
}

/// Adds the MIG slices that `nvidia-smi -L` lists below each GPU: `MIG 3g.40gb Device 0: (…)`.
pub fn add_mig_slices(gpus: &mut [Gpu], list: &str) {
    let mut gpus = gpus.iter_mut();
    let mut current = None;
    for line in list.lines().map(str::trim) {
        if line.starts_with("GPU ") {
            current = gpus.next();
        } else if let Some(profile) = line.strip_prefix("MIG ")
            && let Some(gpu) = &mut current
            && let Some(size) = profile.split_whitespace().next().and_then(slice_bytes)
        {
            gpu.mig_bytes.push(size);
        }
    }
}

/// Parses the size in a MIG profile such as `1g.10gb+me`. Counts 10^9 bytes per GB, because a
/// slice has somewhat less than as many GiB.
fn slice_bytes(profile: &str) -> Option<u64> {
    let size = profile.split('.').find_map(|part| part.split('+').next()?.strip_suffix("gb"))?;
    size.parse::<u64>().ok()?.checked_mul(1_000_000_000)
}

/// Adds or completes a Jetson's GPU, which is not on PCI: the device tree names the SoC.
pub fn jetson(gpus: &mut Vec<Gpu>, device_tree: &str) {
    let Some((.., capability)) = JETSONS.iter().find(|(soc, ..)| device_tree.contains(soc)) else {
        return;
    };
    let model = device_tree.lines().map(str::trim).find(|line| !line.is_empty());
    if !gpus.iter().any(|gpu| gpu.vendor == Vendor::Nvidia && gpu.pci.is_none()) {
        gpus.push(Gpu::new(Vendor::Nvidia, model.unwrap_or("NVIDIA Jetson")));
    }
    for gpu in gpus.iter_mut().filter(|gpu| gpu.vendor == Vendor::Nvidia && gpu.pci.is_none()) {
        gpu.unified_memory = true;
        gpu.cuda_capability.get_or_insert_with(|| (*capability).to_owned());
    }
}

fn mebibytes(text: &str) -> Option<u64> {
    let number = text.strip_suffix("MiB").unwrap_or(text);
    number.trim().parse::<u64>().ok()?.checked_mul(1 << 20)
}

/// Returns the name of the GPU in this slot as NVIDIA's kernel module reports it, and the
/// module's version.
pub fn kernel_module(text: &str, slot: &str) -> (Option<String>, Option<String>) {
    let (mut name, mut version, mut model) = (None, None, None);
    for line in text.lines() {
        if let Some(words) = line.strip_prefix("NVRM version:") {
            let is_version = |word: &&str| {
                word.contains('.') && word.split('.').all(|n| n.parse::<u32>().is_ok())
            };
            version = words.split_whitespace().find(is_version).map(str::to_owned);
        } else if let Some(words) = line.strip_prefix("Model:") {
            // The name of a GPU that the module cannot initialize is `Unknown`.
            model = Some(words.trim().to_owned()).filter(|model| model != "Unknown");
        } else if let Some(place) = line.strip_prefix("Bus Location:")
            && place.trim().eq_ignore_ascii_case(slot)
        {
            name = model.take();
        }
    }
    (name, version)
}
