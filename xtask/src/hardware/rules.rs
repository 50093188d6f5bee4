//! A variant held against the facts of its machine: what would die there, what could
//! be faster, which GPU it is not for, which it leaves idle.
//!
//! Pure: no I/O, no clock.

use crate::findings::finding::{Finding, Severity};
use crate::fleet::manifest::Manifest;
use crate::hardware::facts::{Facts, Gpu, Vendor};
use crate::hardware::gpu_targets::{self, Fit};
use crate::hardware::recommendation::{self, backend_for};
use crate::hardware::{cpu_rules, nvidia, threads};
use crate::nix::names::nix_string;

pub fn findings(manifest: &Manifest, facts: &Facts) -> Vec<Finding> {
    if !facts.cpu.arch.runs(&manifest.system) {
        return vec![Finding::error(
            "wrong-architecture",
            format!("the variant targets {}, but {} is not one", manifest.system, facts.cpu_name()),
            "correct the host's system, or probe the machine again",
        )];
    }
    let mut findings = cpu_rules::findings(manifest, facts);
    findings.extend(gpus(manifest, facts));
    findings.extend(idle(manifest, facts));
    // One that the variant is for, or could be.
    if manifest.backends.iter().all(|backend| backend == "cpu") {
        findings.extend(unprobed(facts));
    }
    findings.extend(threads::judge(manifest, facts));
    findings
}

/// What a GPU backend compiles for, against what is there.
pub fn gpus(manifest: &Manifest, facts: &Facts) -> Vec<Finding> {
    let mut findings = vec![];
    for (backend, vendor) in [("cuda", Vendor::Nvidia), ("rocm", Vendor::Amd)] {
        if !manifest.has_backend(backend) {
            continue;
        }
        let there: Vec<&Gpu> = facts.gpus_of(vendor).collect();
        if there.is_empty() {
            findings.push(no_gpu(manifest, facts, backend, &format!("{} GPU", vendor.name())));
        } else if there.iter().all(|gpu| gpu.is_on_nouveau()) {
            findings.push(nvidia::without_capability(there[0]));
        } else {
            findings.extend(kernels(manifest, vendor, &there));
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
    // A container may see no PCI: then only nvidia-smi could have listed a GPU.
    if let Some(words) = facts.nvidia_smi.as_ref().filter(|_| backend == "cuda") {
        return nvidia::failed(words);
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
    let alone = manifest.backends.iter().all(|name| name == backend || name == "cpu");
    let fate = if alone {
        "llama.cpp would silently run on the CPU"
    } else {
        "that part of the build is unused"
    };
    Finding::error(
        "no-such-gpu",
        format!(
            "programs.llama-cpp.backend: asks for {backend}, but the machine has no {what}: {fate}"
        ),
        "choose another backend, or probe the machine again if the card is new",
    )
}

/// A vendor's targets against its GPUs. What a GPU is may be unknown (no driver was
/// loaded): then nothing is held against it.
fn kernels(manifest: &Manifest, vendor: Vendor, there: &[&Gpu]) -> Vec<Finding> {
    let option = if vendor == Vendor::Nvidia { "cudaCapabilities" } else { "rocmTargets" };
    let targets = gpu_targets::compiled(manifest, vendor);
    let known: Vec<(&Gpu, &str)> =
        there.iter().filter_map(|gpu| Some((*gpu, target_of(gpu)?))).collect();
    if targets.is_empty() || known.is_empty() {
        return vec![];
    }
    let chosen: Vec<Option<(Fit, &String)>> =
        known.iter().map(|(_, is)| gpu_targets::best(vendor, &targets, is)).collect();
    let none_runs = chosen.iter().all(Option::is_none);
    // A processor's own Radeon beside a card that ROCm drives is left alone, and so is a card from
    // before all CUDA.
    let is_driven = |is: &str| match vendor {
        Vendor::Nvidia => !gpu_targets::is_too_old(is),
        _ => rocm_knows(manifest, is),
    };
    let counts = |is: &str| is_driven(is) || none_runs;
    let mut fitting: Vec<String> =
        known.iter().filter(|(_, is)| counts(is)).map(|(_, is)| nix_string(is)).collect();
    fitting.sort_unstable();
    fitting.dedup();
    let refused = match vendor {
        Vendor::Nvidia => gpu_targets::refused(manifest, known.iter().map(|(_, is)| *is)),
        _ => vec![],
    };
    let toolkit = if refused.is_empty() {
        String::new()
    } else {
        let other = gpu_targets::other_cuda(manifest);
        format!(", and use a CUDA that compiles {}: {other}", refused.join(", "))
    };
    let help = if known.iter().all(|(_, is)| gpu_targets::is_too_old(is)) {
        "choose another backend: no CUDA that builds llama.cpp compiles for this GPU".to_owned()
    } else {
        format!("set programs.llama-cpp.{option} = [ {} ]{toolkit}", fitting.join(" "))
    };
    // What the user wrote, where llama.cpp compiles something else.
    let label = |target: &String| match target.strip_suffix('a') {
        Some(plain) if manifest.cuda_capabilities.iter().any(|wrote| wrote == plain) => {
            format!("{plain} (compiled as {target})")
        }
        _ => target.clone(),
    };
    let labels = |targets: &[&String], separator: &str| {
        targets.iter().map(|target| label(target)).collect::<Vec<_>>().join(separator)
    };
    let mut findings = vec![];
    for ((gpu, is), kernel) in known.iter().zip(&chosen) {
        match kernel {
            None if counts(is) => findings.push(Finding::error(
                "no-kernel",
                format!(
                    "programs.llama-cpp.{option}: nothing in {} runs on {} ({is})",
                    labels(&targets.iter().collect::<Vec<_>>(), ", "),
                    gpu.name
                ),
                help.clone(),
            )),
            Some((Fit::Recompiled, kernel)) => findings.push(Finding::warning(
                "no-exact-kernel",
                format!(
                    "programs.llama-cpp.{option}: {kernel} runs on {} ({is}) only after the \
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
    if known.len() == there.len() && !idle.is_empty() {
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
fn rocm_knows(manifest: &Manifest, target: &str) -> bool {
    match &manifest.rocm_library_targets {
        Some(libraries) => {
            libraries.iter().any(|library| library.split(':').next() == Some(target))
        }
        None => recommendation::rocm_knows(target),
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
            let runs = |is: &str| {
                rocm_knows(manifest, is)
                    || gpu_targets::best(gpu.vendor, &manifest.rocm_targets, is).is_some()
            };
            manifest.has_backend("rocm") && gpu.gfx_target.as_deref().is_none_or(runs)
        }
        _ => false,
    };
    by_vendor || manifest.has_backend("vulkan") && gpu.vulkan.is_some()
}

/// GPUs of which only a hardware report knows: what may use them is unknown.
pub fn unprobed(facts: &Facts) -> Vec<Finding> {
    let unknown = |gpu: &Gpu| {
        if gpu.is_on_nouveau() {
            return nvidia::without_capability(gpu);
        }
        Finding::warning(
            "unknown-gpu",
            format!(
                "{}: which backends can use this GPU is unknown, since a report has neither its \
                 capability nor its drivers",
                gpu.name
            ),
            facts.how_to_find_out(),
        )
    };
    let mut findings: Vec<Finding> =
        facts.gpus.iter().filter(|gpu| gpu.unprobed).map(unknown).collect();
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
        // Only a probe knows it.
        Some(_) => "probe the machine itself, or where /sys is mounted".to_owned(),
        None => facts.how_to_find_out(),
    }
}

/// Below this an AMD GPU that is not the only one is taken for the processor's own.
const SMALL_VRAM: u64 = 4 << 30;

fn idle(manifest: &Manifest, facts: &Facts) -> Vec<Finding> {
    let uses_one = facts.gpus.iter().any(|gpu| runs_on(manifest, gpu));
    let is_small = |gpu: &Gpu| {
        gpu.vendor == Vendor::Amd && gpu.vram_bytes.is_none_or(|bytes| bytes <= SMALL_VRAM)
    };
    let idle = facts.gpus.iter().filter(|gpu| {
        gpu.is_worth_using() && !runs_on(manifest, gpu) && !(uses_one && is_small(gpu))
    });
    idle.map(|gpu| {
        let backend = backend_for(gpu).unwrap_or("vulkan");
        Finding::warning(
            "idle-gpu",
            format!("programs.llama-cpp.backend: leaves {} unused", gpu.name),
            format!(
                "add {} to programs.llama-cpp.backend, or ignore this warning if the GPU is for \
                 other work",
                nix_string(backend)
            ),
        )
    })
    .collect()
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
