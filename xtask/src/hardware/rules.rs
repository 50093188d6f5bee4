//! Compares a variant with the facts of its machine: code that would crash there or could be
//! faster, GPUs that it has no code for, and GPUs that it does not use.
//!
//! Pure: no I/O, no clock.

use std::collections::BTreeSet;

use crate::findings::finding::{Finding, Severity};
use crate::fleet::manifest::Manifest;
use crate::hardware::facts::{Facts, Gpu, Vendor};
use crate::hardware::gpu_targets::{self, Fit};
use crate::hardware::nvidia::{self, is_before_maxwell};
use crate::hardware::recommendation::{self, backend_for};
use crate::hardware::{cpu_rules, threads};
use crate::nix::names::nix_string;

pub fn findings(manifest: &Manifest, facts: &Facts) -> Vec<Finding> {
    if !facts.cpu.arch.runs(&manifest.system) {
        return vec![Finding::error(
            "wrong-architecture",
            format!(
                "the variant targets {}, which {} cannot run",
                manifest.system,
                facts.cpu_name()
            ),
            "correct the host's system, or probe the machine again",
        )];
    }
    let mut findings = cpu_rules::findings(manifest, facts);
    findings.extend(gpus(manifest, facts));
    findings.extend(idle(manifest, facts));
    // A variant with a GPU backend already names its GPU.
    if manifest.backends.iter().all(|backend| backend == "cpu") {
        findings.extend(unprobed(facts));
    }
    findings.extend(threads::findings(manifest, facts));
    findings
}

/// Compares the variant's GPU backends with the machine's GPUs.
pub fn gpus(manifest: &Manifest, facts: &Facts) -> Vec<Finding> {
    let mut findings = vec![];
    for (backend, vendor) in [("cuda", Vendor::Nvidia), ("rocm", Vendor::Amd)] {
        if !manifest.has_backend(backend) {
            continue;
        }
        let gpus: Vec<&Gpu> = facts.gpus_of(vendor).collect();
        if gpus.is_empty() {
            findings.push(no_gpu(manifest, facts, backend, &format!("{} GPU", vendor.name())));
        } else if gpus.iter().all(|gpu| target_of(gpu).is_none() && is_before_maxwell(gpu)) {
            findings.extend(nvidia::too_old(gpus[0]));
        } else if gpus.iter().all(|gpu| gpu.is_on_nouveau()) {
            findings.push(nvidia::without_capability(gpus[0]));
        } else {
            findings.extend(kernels(manifest, vendor, &gpus));
        }
    }
    if manifest.has_backend("vulkan") {
        if facts.gpus.is_empty() {
            findings.push(no_gpu(manifest, facts, "vulkan", "GPU"));
        } else if facts.gpus.iter().all(|gpu| gpu.vulkan.is_none() && !gpu.unprobed) {
            findings.push(Finding::warning(
                "no-vulkan-driver",
                "programs.llama-cpp.backend: asks for vulkan, but no GPU had a Vulkan driver when \
                 the machine was probed",
                "set hardware.graphics.enable = true on the host, then probe it again",
            ));
        }
    }
    findings
}

fn no_gpu(manifest: &Manifest, facts: &Facts, backend: &str, what: &str) -> Finding {
    // In a container without PCI, only nvidia-smi could have listed a GPU.
    if let Some(message) = facts.nvidia_smi.as_ref().filter(|_| backend == "cuda") {
        return nvidia::smi_failed(message, &facts.gpus);
    }
    if facts.gpus_unknown {
        return Finding::warning(
            "unknown-gpu",
            format!(
                "programs.llama-cpp.backend: asks for {backend}; whether the machine has a GPU is \
                 unknown, because nothing lists its devices"
            ),
            how_to_list(facts),
        );
    }
    let is_only_backend = manifest.backends.iter().all(|name| name == backend || name == "cpu");
    let consequence = if is_only_backend {
        "llama.cpp would silently run on the CPU"
    } else {
        "that part of the build is unused"
    };
    Finding::error(
        "no-such-gpu",
        format!(
            "programs.llama-cpp.backend: asks for {backend}, but the machine has no {what}: \
             {consequence}"
        ),
        "choose another backend, or probe the machine again if the card is new",
    )
}

/// Compares the variant's targets of one vendor with the machine's GPUs of that vendor. Ignores
/// GPUs whose target is unknown, for example because no driver was loaded.
fn kernels(manifest: &Manifest, vendor: Vendor, gpus: &[&Gpu]) -> Vec<Finding> {
    let option = if vendor == Vendor::Nvidia { "cudaCapabilities" } else { "rocmTargets" };
    let targets = gpu_targets::compiled(manifest, vendor);
    let known: Vec<(&Gpu, &str)> =
        gpus.iter().filter_map(|gpu| Some((*gpu, target_of(gpu)?))).collect();
    if targets.is_empty() || known.is_empty() {
        return vec![];
    }
    let chosen: Vec<Option<(Fit, &String)>> =
        known.iter().map(|(_, target)| gpu_targets::best(vendor, &targets, target)).collect();
    let none_runs = chosen.iter().all(Option::is_none);
    // Ignores GPUs that the toolkit does not support, such as an integrated Radeon or an old
    // NVIDIA card beside a supported card.
    let is_supported = |target: &str| match vendor {
        Vendor::Nvidia => !gpu_targets::is_too_old(target),
        _ => rocm_supports(manifest, target),
    };
    let counts = |target: &str| is_supported(target) || none_runs;
    let fitting: BTreeSet<String> = known
        .iter()
        .filter(|(_, target)| counts(target))
        .map(|(_, target)| nix_string(target))
        .collect();
    let fitting = Vec::from_iter(fitting).join(" ");
    let refused = match vendor {
        Vendor::Nvidia => gpu_targets::refused(manifest, known.iter().map(|(_, target)| *target)),
        _ => vec![],
    };
    let toolkit = if refused.is_empty() {
        String::new()
    } else {
        let other = gpu_targets::other_cuda(manifest);
        format!(", and use a CUDA that compiles {}: {other}", refused.join(", "))
    };
    let help = if known.iter().all(|(_, target)| gpu_targets::is_too_old(target)) {
        "choose another backend: no CUDA version that can build llama.cpp supports this GPU"
            .to_owned()
    } else {
        format!("set programs.llama-cpp.{option} = [ {fitting} ]{toolkit}")
    };
    // Names the user's value if llama.cpp compiles another target for it.
    let label = |target: &String| match target.strip_suffix('a') {
        Some(plain) if manifest.cuda_capabilities.iter().any(|set| set == plain) => {
            format!("{plain} (compiled as {target})")
        }
        _ => target.clone(),
    };
    let labels = |targets: &[&String], separator: &str| {
        targets.iter().map(|target| label(target)).collect::<Vec<_>>().join(separator)
    };
    let mut findings = vec![];
    for ((gpu, target), kernel) in known.iter().zip(&chosen) {
        match kernel {
            None if counts(target) => findings.push(Finding::error(
                "no-kernel",
                format!(
                    "programs.llama-cpp.{option}: nothing in {} runs on {} ({target})",
                    labels(&targets.iter().collect::<Vec<_>>(), ", "),
                    gpu.name
                ),
                help.clone(),
            )),
            Some((Fit::Recompiled, kernel)) => findings.push(Finding::warning(
                "no-exact-kernel",
                format!(
                    "programs.llama-cpp.{option}: {kernel} runs on {} ({target}) only after the \
                     driver recompiles it, and without its newer features",
                    gpu.name
                ),
                help.clone(),
            )),
            _ => {}
        }
    }
    let is_used = |target: &&String| chosen.iter().flatten().any(|(_, used)| used == target);
    let idle: Vec<&String> = targets.iter().filter(|target| !is_used(target)).collect();
    if known.len() == gpus.len() && !idle.is_empty() {
        let what = format!(
            "programs.llama-cpp.{option}: no GPU of this machine is {}; {}",
            labels(&idle, " or "),
            if none_runs {
                "llama.cpp would find no device"
            } else {
                "it only makes the build longer"
            }
        );
        let severity = if none_runs { Severity::Error } else { Severity::Warning };
        findings.push(Finding { severity, ..Finding::warning("no-such-gpu", what, help) });
    }
    findings
}

/// Whether the ROCm libraries have kernels for this target.
fn rocm_supports(manifest: &Manifest, target: &str) -> bool {
    match &manifest.rocm_library_targets {
        Some(libraries) => {
            libraries.iter().any(|library| library.split(':').next() == Some(target))
        }
        None => recommendation::rocm_supports(target),
    }
}

fn target_of(gpu: &Gpu) -> Option<&str> {
    match gpu.vendor {
        Vendor::Nvidia => gpu.cuda_capability.as_deref(),
        _ => gpu.gfx_target.as_deref(),
    }
}

fn runs_on(manifest: &Manifest, gpu: &Gpu) -> bool {
    let by_vendor = match gpu.vendor {
        Vendor::Nvidia => manifest.has_backend("cuda"),
        Vendor::Amd => {
            let runs = |target: &str| {
                rocm_supports(manifest, target)
                    || gpu_targets::best(gpu.vendor, &manifest.rocm_targets, target).is_some()
            };
            manifest.has_backend("rocm") && gpu.gfx_target.as_deref().is_none_or(runs)
        }
        _ => false,
    };
    by_vendor || manifest.has_backend("vulkan") && gpu.vulkan.is_some()
}

/// Reports GPUs that are known only from a hardware report, which does not say what can use them.
/// Ignores those that would not be used anyway.
pub fn unprobed(facts: &Facts) -> Vec<Finding> {
    let unknown = |gpu: &Gpu| {
        if gpu.is_on_nouveau() {
            return nvidia::without_capability(gpu);
        }
        Finding::warning(
            "unknown-gpu",
            format!(
                "{}: which backends can use this GPU is unknown, because a report does not have its \
                 CUDA capability, ROCm target or Vulkan version",
                gpu.name
            ),
            facts.probe_help(),
        )
    };
    let is_unused = |gpu: &Gpu| {
        gpu.is_discrete == Some(false) || gpu.vendor == Vendor::Nvidia && is_before_maxwell(gpu)
    };
    let gpus = facts.gpus.iter().filter(|gpu| gpu.unprobed && !is_unused(gpu));
    let mut findings: Vec<Finding> = gpus.map(unknown).collect();
    findings.extend(facts.gpus_unknown.then(|| {
        Finding::warning(
            "unknown-gpu",
            "whether the machine has a GPU is unknown: nothing lists its devices",
            how_to_list(facts),
        )
    }));
    findings
}

fn how_to_list(facts: &Facts) -> String {
    match facts.kernel {
        // Only a probe reads the kernel, so these facts are from a probe without /sys.
        Some(_) => "probe the machine itself, or where /sys is mounted".to_owned(),
        None => facts.probe_help(),
    }
}

/// An AMD GPU with at most this much memory counts as integrated if there are others.
const SMALL_VRAM: u64 = 4 << 30;

fn idle(manifest: &Manifest, facts: &Facts) -> Vec<Finding> {
    let uses_one = facts.gpus.iter().any(|gpu| runs_on(manifest, gpu));
    let backend_for = |gpu: &Gpu| backend_for(gpu, facts.cpu.arch).unwrap_or("vulkan");
    // The memory of an integrated GPU is a setting of the firmware.
    let is_small = |gpu: &Gpu| {
        let is_part_of_cpu = gpu.unified_memory && backend_for(gpu) == "vulkan";
        let has_little = gpu.vram_bytes.is_none_or(|bytes| bytes <= SMALL_VRAM);
        gpu.vendor == Vendor::Amd && (is_part_of_cpu || has_little)
    };
    let idle = facts.gpus.iter().filter(|gpu| {
        gpu.is_worth_using() && !runs_on(manifest, gpu) && !(uses_one && is_small(gpu))
    });
    idle.map(|gpu| {
        Finding::warning(
            "idle-gpu",
            format!("programs.llama-cpp.backend: leaves {} unused", gpu.name),
            format!(
                "add {} to programs.llama-cpp.backend, or ignore this warning if the GPU is for \
                 other work",
                nix_string(backend_for(gpu))
            ),
        )
    })
    .collect()
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
