//! What NVIDIA's programs, its kernel module and a Jetson's device tree say of its GPUs.
//!
//! Pure: no I/O, no clock.

use crate::findings::finding::Finding;
use crate::hardware::facts::{Gpu, Vendor};
use crate::hardware::gpu_targets::is_too_old;

/// The SoCs of Jetsons and their GPUs' capabilities; a device tree names them.
const JETSONS: [(&str, &str, &str); 6] = [
    ("tegra124", "K1", "3.2"),
    ("tegra210", "X1", "5.3"),
    ("tegra186", "X2", "6.2"),
    ("tegra194", "Xavier", "7.2"),
    ("tegra234", "Orin", "8.7"),
    ("tegra264", "Thor", "11.0"),
];

const DRIVER: &str = "set services.xserver.videoDrivers = [ \"nvidia\" ] on the host and reboot, then \
                      probe it again; or look the card up at developer.nvidia.com/cuda-gpus";

/// What `nvidia-smi --query-gpu=… --format=csv` printed.
struct Table<'a> {
    columns: Vec<&'a str>,
    rows: Vec<Vec<String>>,
    /// Its lines that are not rows.
    others: Vec<&'a str>,
}

impl<'a> Table<'a> {
    /// From the line that names the columns; banners may stand before it. Only a name may hold
    /// commas.
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

/// What nvidia-smi does not know, or a GPU does not have: `[N/A]`, `[Not Supported]`.
fn is_absent(cell: &str) -> bool {
    let word = cell.trim_matches(['[', ']']);
    ["", "N/A", "Not Supported", "Not Available", "Insufficient Permissions"].contains(&word)
}

/// What went wrong with a GPU: `[Unknown Error]`, `[GPU requires reset]`, `ERR!`.
fn is_error(cell: &str) -> bool {
    !is_absent(cell) && (cell.starts_with('[') || cell == "ERR!")
}

/// The GPUs of nvidia-smi's table.
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

/// Not an "NVIDIA RTX A2000" or the like: a GPU without a PCI bus.
fn is_jetson(name: &str) -> bool {
    ["nvgpu", "Jetson", "Tegra", "NVIDIA Thor"].iter().any(|word| name.contains(word))
}

/// What nvidia-smi printed instead of GPUs, or of one that it cannot read. None: it read all, or
/// is not there.
pub fn complaint(text: &str) -> Option<String> {
    let mut lines: Vec<String> = vec![];
    let mut add = |line: String| {
        // A driver before 510 does not know that field.
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
            let news = lines.filter(|line| !line.is_empty() && !line.starts_with("name,"));
            news.map(str::to_owned).for_each(&mut add);
        }
    }
    (!lines.is_empty()).then(|| lines.join("; "))
}

/// nvidia-smi's words, and what helps.
pub fn failed(words: &str) -> Finding {
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
        ("communicate with the NVIDIA driver", DRIVER),
        ("Driver Not Loaded", DRIVER),
        (
            "libnvidia-ml",
            "set hardware.graphics.enable = true on the host: nvidia-smi needs the driver's \
             libraries",
        ),
        (
            // `Insufficient Permissions`; `you do not have suffient permissions`
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
    let known = HELP.iter().find(|(pattern, _)| words.contains(pattern)).map(|(_, help)| *help);
    Finding::warning(
        "nvidia-smi",
        format!("nvidia-smi: {words}"),
        known.unwrap_or(
            "run nvidia-smi on the machine; after a driver update or a GPU error, reboot",
        ),
    )
}

/// A GPU that the machine has, and nvidia-smi does not.
pub fn without_capability(gpu: &Gpu) -> Finding {
    if gpu.is_on_nouveau() {
        return Finding::warning(
            "wrong-driver",
            format!(
                "{} uses the driver {}, but CUDA needs NVIDIA's",
                gpu.name,
                gpu.driver.as_deref().unwrap_or("nouveau")
            ),
            DRIVER,
        );
    }
    Finding::warning(
        "unknown-capability",
        format!("{}: cannot read its CUDA capability without nvidia-smi", gpu.name),
        DRIVER,
    )
}

/// The same where nvidia-smi lists others.
pub fn unlisted(gpu: &Gpu) -> Finding {
    if gpu.is_on_nouveau() {
        return without_capability(gpu);
    }
    Finding::warning(
        "unknown-capability",
        format!("{}: its CUDA capability is unknown, as nvidia-smi does not list it", gpu.name),
        "look it up at developer.nvidia.com/cuda-gpus; an older card may need another \
         hardware.nvidia.package",
    )
}

/// A GPU from before all CUDA that builds llama.cpp.
pub fn too_old(gpu: &Gpu) -> Option<Finding> {
    let capability = gpu.cuda_capability.as_ref().filter(|it| is_too_old(it))?;
    Some(Finding::warning(
        "cuda-version",
        format!("{}: no CUDA that builds llama.cpp compiles for {capability}", gpu.name),
        "use another backend; NVIDIA's driver for this card may have Vulkan",
    ))
}

/// Gives GPUs the slices that `nvidia-smi -L` lists below each: `MIG 3g.40gb Device 0: (…)`.
pub fn divide(gpus: &mut [Gpu], list: &str) {
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

/// `1g.10gb+me`: somewhat less than as many GiB.
fn slice_bytes(profile: &str) -> Option<u64> {
    let size = profile.split('.').find_map(|part| part.split('+').next()?.strip_suffix("gb"))?;
    size.parse::<u64>().ok()?.checked_mul(1_000_000_000)
}

/// A Jetson's GPU is on no bus: its device tree names the SoC.
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

/// `8.6`: it goes into Nix code, so nothing else does.
pub fn is_capability(text: &str) -> bool {
    let number =
        |part: &str| (1..=2).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    text.split_once('.').is_some_and(|(major, minor)| number(major) && number(minor))
}

/// What NVIDIA's kernel module says of the GPU in this slot, and its own version.
pub fn kernel_module(text: &str, slot: &str) -> (Option<String>, Option<String>) {
    let (mut name, mut version, mut model) = (None, None, None);
    for line in text.lines() {
        if let Some(words) = line.strip_prefix("NVRM version:") {
            let is_version = |word: &&str| {
                word.contains('.') && word.split('.').all(|n| n.parse::<u32>().is_ok())
            };
            version = words.split_whitespace().find(is_version).map(str::to_owned);
        } else if let Some(words) = line.strip_prefix("Model:") {
            // What it says of a GPU that it cannot start.
            model = Some(words.trim().to_owned()).filter(|words| words != "Unknown");
        } else if let Some(place) = line.strip_prefix("Bus Location:")
            && place.trim().eq_ignore_ascii_case(slot)
        {
            name = model.take();
        }
    }
    (name, version)
}
