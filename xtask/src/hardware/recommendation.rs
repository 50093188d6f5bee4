//! Derives the options of `programs.llama-cpp` that fit a machine from its facts.
//!
//! Pure: no I/O, no clock.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::hardware::cores::Cores;
use crate::hardware::cpu::Arch;
use crate::hardware::facts::{Facts, Gpu, Vendor};
use crate::hardware::gpu_targets::{cuda_overlay, is_before_turing, is_too_old};
use crate::hardware::microarch::{DISPATCH, Detected, Table};
use crate::nix::names::nix_string;

/// Targets for which nixpkgs' ROCm libraries have kernels (`rocmPackages.clr.gpuTargets`). Without
/// gfx1103, which was added in 2026 and also has Vulkan.
const ROCM_TARGETS: [&str; 14] = [
    "gfx900", "gfx906", "gfx908", "gfx90a", "gfx942", "gfx950", "gfx1010", "gfx1030", "gfx1100",
    "gfx1101", "gfx1102", "gfx1151", "gfx1200", "gfx1201",
];

pub fn rocm_supports(target: &str) -> bool {
    ROCM_TARGETS.contains(&target)
}

/// Values for the module's options of the same names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Recommendation {
    pub backend: Vec<&'static str>,
    pub microarch: String,
    /// False if the table does not list the CPU, and `microarch` has the same instruction sets.
    pub microarch_is_own: bool,
    pub cuda_capabilities: Vec<String>,
    pub rocm_targets: Vec<String>,
    /// None if too little is known about the cores.
    pub threads: Option<u32>,
}

/// Returns the GPU's capability if CUDA supports it.
fn cuda_target(gpu: &Gpu) -> Option<&String> {
    gpu.cuda_capability.as_ref().filter(|capability| !is_too_old(capability))
}

fn rocm_target(gpu: &Gpu) -> Option<&String> {
    gpu.gfx_target.as_ref().filter(|target| rocm_supports(target))
}

/// Returns the best backend for this GPU in a machine of this architecture. None if the CPU is the
/// safer choice.
pub fn backend_for(gpu: &Gpu, arch: Arch) -> Option<&'static str> {
    if !gpu.is_worth_using() {
        return None;
    }
    match gpu.vendor {
        Vendor::Nvidia if cuda_target(gpu).is_some() => Some("cuda"),
        // nixpkgs has ROCm for x86_64 only.
        Vendor::Amd if rocm_target(gpu).is_some() && arch == Arch::X86_64 => Some("rocm"),
        _ if gpu.vulkan.is_some() => Some("vulkan"),
        _ => None,
    }
}

impl Recommendation {
    pub fn new(facts: &Facts) -> Self {
        let backend_for = |gpu: &Gpu| backend_for(gpu, facts.cpu.arch);
        let mut backends: BTreeSet<&str> = facts.gpus.iter().filter_map(backend_for).collect();
        // Beside a card, a small integrated GPU would only slow llama.cpp down.
        if backends.len() > 1 {
            backends.remove("vulkan");
        }
        let targets = |backend: &str, target: fn(&Gpu) -> Option<&String>| -> Vec<String> {
            let gpus = facts.gpus.iter().filter(|_| backends.contains(backend));
            let targets: BTreeSet<&String> = gpus.filter_map(target).collect();
            targets.into_iter().cloned().collect()
        };
        let unknown = Detected { name: DISPATCH, is_own: true };
        let detected = Table::embedded().detect(&facts.cpu).unwrap_or(unknown);
        Self {
            microarch: detected.name.to_owned(),
            microarch_is_own: detected.is_own,
            cuda_capabilities: targets("cuda", cuda_target),
            rocm_targets: targets("rocm", rocm_target),
            threads: facts.cores.as_ref().and_then(Cores::threads),
            backend: match backends.is_empty() {
                true => vec!["cpu"],
                false => backends.into_iter().collect(),
            },
        }
    }

    /// Formats the options for hosts/NAME/default.nix.
    pub fn nix(&self) -> String {
        let backend = match self.backend[..] {
            [one] => nix_string(one),
            _ => list(&self.backend),
        };
        let comment = if self.microarch_is_own { "" } else { " # the same instruction sets" };
        let mut lines = vec![
            "enable = true;".to_owned(),
            format!("backend = {backend};"),
            format!("microarch = {};{comment}", nix_string(&self.microarch)),
        ];
        for (option, items) in
            [("cudaCapabilities", &self.cuda_capabilities), ("rocmTargets", &self.rocm_targets)]
        {
            if !items.is_empty() {
                lines.push(format!("{option} = {};", list(items)));
            }
        }
        // With the whole model on a GPU, the CPU is idle.
        if let Some(threads) = self.threads.filter(|_| self.backend == ["cpu"]) {
            lines.push(format!("threads = {threads};"));
        }
        let options = lines.join("\n").replace('\n', "\n  ");
        let mut text = format!("programs.llama-cpp = {{\n  {options}\n}};");
        if self.backend.contains(&"cuda") {
            text += "\n\n# The CUDA libraries.\nnixpkgs.config.allowUnfree = true;";
        }
        if self.cuda_capabilities.iter().any(|it| is_before_turing(it)) {
            text += "\n# CUDA 13 does not compile for GPUs older than Turing.\n";
            text += &cuda_overlay(12);
        }
        text
    }
}

/// Formats a Nix list of strings as nixfmt does.
pub fn list<T: AsRef<str>>(items: &[T]) -> String {
    layout(&items.iter().map(|item| nix_string(item.as_ref())).collect::<Vec<_>>())
}

/// Formats a Nix list of expressions as nixfmt does.
pub fn layout(items: &[String]) -> String {
    match items {
        [one] if one.len() < 60 => format!("[ {one} ]"),
        many => format!("[\n  {}\n]", many.join("\n  ")),
    }
}
