//! What a machine's facts ask for: the options of `programs.llama-cpp` that fit it.
//!
//! Pure: no I/O, no clock.

use serde::Serialize;

use crate::hardware::cores::Cores;
use crate::hardware::facts::{Facts, Gpu, Vendor};
use crate::hardware::gpu_targets::is_too_old;
use crate::hardware::microarch::{DISPATCH, Detected, Table};
use crate::nix::names::nix_string;

/// What nixpkgs' ROCm libraries have kernels for (`rocmPackages.clr.gpuTargets`).
const ROCM_TARGETS: [&str; 13] = [
    "gfx900", "gfx906", "gfx908", "gfx90a", "gfx942", "gfx1010", "gfx1030", "gfx1100", "gfx1101",
    "gfx1102", "gfx1151", "gfx1200", "gfx1201",
];

pub fn rocm_knows(target: &str) -> bool {
    ROCM_TARGETS.contains(&target)
}

/// As the options of the module are called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Recommendation {
    pub backend: Vec<&'static str>,
    pub microarch: String,
    /// False: the CPU has no name in the table, and this one has the same instruction sets.
    pub microarch_is_own: bool,
    pub cuda_capabilities: Vec<String>,
    pub rocm_targets: Vec<String>,
    /// None: too little is known of the cores.
    pub threads: Option<u32>,
}

/// The capability of a GPU that CUDA still compiles for.
fn cuda_target(gpu: &Gpu) -> Option<&String> {
    gpu.cuda_capability.as_ref().filter(|capability| !is_too_old(capability))
}

/// The backend that gets most out of this GPU; none where the CPU is the safer guess.
pub fn backend_for(gpu: &Gpu) -> Option<&'static str> {
    if !gpu.is_worth_using() {
        return None;
    }
    match (gpu.vendor, &gpu.gfx_target) {
        (Vendor::Nvidia, _) if cuda_target(gpu).is_some() => Some("cuda"),
        (Vendor::Amd, Some(target)) if rocm_knows(target) => Some("rocm"),
        _ if gpu.vulkan.is_some() => Some("vulkan"),
        _ => None,
    }
}

impl Recommendation {
    pub fn new(facts: &Facts) -> Self {
        let mut backend: Vec<&'static str> = facts.gpus.iter().filter_map(backend_for).collect();
        backend.sort_unstable();
        backend.dedup();
        // Beside a card of its own, a processor's small GPU only slows Vulkan's share down.
        if backend.len() > 1 {
            backend.retain(|name| *name != "vulkan");
        }
        let has = |name| backend.contains(&name);
        let mut cuda_capabilities = vec![];
        let mut rocm_targets = vec![];
        for gpu in &facts.gpus {
            cuda_capabilities.extend(cuda_target(gpu).filter(|_| has("cuda")).cloned());
            let target = gpu.gfx_target.clone().filter(|target| has("rocm") && rocm_knows(target));
            rocm_targets.extend(target);
        }
        for list in [&mut cuda_capabilities, &mut rocm_targets] {
            list.sort_unstable();
            list.dedup();
        }
        if backend.is_empty() {
            backend.push("cpu");
        }
        let unknown = Detected { name: DISPATCH, is_own: true };
        let detected = Table::embedded().detect(&facts.cpu).unwrap_or(unknown);
        let threads = facts.cores.as_ref().and_then(Cores::threads);
        Self {
            backend,
            microarch: detected.name.to_owned(),
            microarch_is_own: detected.is_own,
            cuda_capabilities,
            rocm_targets,
            threads,
        }
    }

    /// For hosts/NAME/default.nix.
    pub fn nix(&self) -> String {
        // As nixfmt writes it.
        let list = |items: &[&str]| {
            let items: Vec<String> = items.iter().map(|item| nix_string(item)).collect();
            match &items[..] {
                [one] => format!("[ {one} ]"),
                many => format!("[\n    {}\n  ]", many.join("\n    ")),
            }
        };
        let owned = |items: &[String]| list(&items.iter().map(String::as_str).collect::<Vec<_>>());
        let backend = match self.backend[..] {
            [one] => nix_string(one),
            _ => list(&self.backend),
        };
        let mut lines = vec![
            "programs.llama-cpp = {".to_owned(),
            "  enable = true;".to_owned(),
            format!("  backend = {backend};"),
            format!(
                "  microarch = {};{}",
                nix_string(&self.microarch),
                if self.microarch_is_own { "" } else { " # the same instruction sets" }
            ),
        ];
        for (option, items) in
            [("cudaCapabilities", &self.cuda_capabilities), ("rocmTargets", &self.rocm_targets)]
        {
            if !items.is_empty() {
                lines.push(format!("  {option} = {};", owned(items)));
            }
        }
        // A GPU that holds the whole model leaves the CPU idle.
        if let Some(threads) = self.threads.filter(|_| self.backend == ["cpu"]) {
            lines.push(format!("  threads = {threads};"));
        }
        lines.push("};".to_owned());
        if self.backend.contains(&"cuda") {
            lines.push(String::new());
            lines.push("# The CUDA libraries.".to_owned());
            lines.push("nixpkgs.config.allowUnfree = true;".to_owned());
        }
        lines.join("\n")
    }
}
