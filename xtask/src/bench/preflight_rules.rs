//! The pre-flight rules: errors for what prevents a measurement of a variant on a target, and
//! warnings for what distorts its results.
//!
//! Pure: no I/O, no clock.

use crate::bench::target_state::{Conditions, TargetNix, TargetState};
use crate::findings::finding::{Finding, Severity, none_is_an_error};
use crate::fleet::manifest::Manifest;
use crate::hardware::facts::{Facts, Gpu, Vendor};
use crate::hardware::nvidia;
use crate::hardware::rules as hardware;
use crate::target::ssh::{untrusted, without_nix};
use crate::ui::units;

/// Checks the GPUs, their drivers, Nix and the target's load. [`crate::hardware::cpu_rules::sigill`]
/// checks the CPU.
pub fn findings(
    manifest: &Manifest,
    facts: &Facts,
    state: &TargetState,
    target: &str,
) -> Vec<Finding> {
    let mut findings = devices(manifest, state, target);
    let error = facts.nvidia_smi.as_ref().filter(|_| has_backend(manifest, "cuda"));
    findings.extend(error.map(|error| nvidia::smi_failed(error, &facts.gpus)));
    if none_is_an_error(&findings) {
        findings.extend(gpus(manifest, facts, state));
    }
    findings.extend(nix(state, target));
    findings.extend(state.other_bench.as_ref().map(|who| {
        Finding::error(
            "busy",
            format!(
                "llama-bench runs on {target} ({who}): concurrent runs would disturb each other"
            ),
            "run it again when that has ended, or use --force to measure anyway",
        )
    }));
    findings.extend(disturbances(&state.conditions, target));
    findings
}

fn has_backend(manifest: &Manifest, backend: &str) -> bool {
    manifest.backends.iter().any(|name| name == backend)
}

/// Applies the rules of `check` to the machine's present GPUs. Without a GPU, Vulkan may have a
/// software driver (Mesa's llvmpipe), so that its error becomes a warning.
fn gpus(manifest: &Manifest, facts: &Facts, state: &TargetState) -> Vec<Finding> {
    let is_software = facts.gpus.is_empty() && !state.vulkan_drivers.is_empty();
    let mut findings = hardware::gpus(manifest, facts);
    if is_software && manifest.backends.iter().all(|name| name == "vulkan" || name == "cpu") {
        for finding in &mut findings {
            finding.severity = Severity::Warning;
            "llama.cpp skips software drivers unless selected: `--env \
             GGML_VK_VISIBLE_DEVICES=0`, and `--env VK_DRIVER_FILES=FILE` if there are several; \
             the results are then the CPU's"
                .clone_into(&mut finding.help);
        }
    }
    findings
}

/// Checks whether the GPUs have drivers and whether the login user may use them.
fn devices(manifest: &Manifest, state: &TargetState, target: &str) -> Vec<Finding> {
    let mut findings = vec![];
    let gpus_of = |vendor| state.gpus.iter().filter(move |gpu| gpu.vendor == vendor);
    let node =
        |begin: &'static str| state.devices.iter().filter(move |(node, _)| node.starts_with(begin));
    if has_backend(manifest, "cuda") {
        let has_driver = |gpu: &Gpu| gpu.driver.is_some() && !gpu.is_on_nouveau();
        let without = gpus_of(Vendor::Nvidia).next();
        let without = without.filter(|_| !gpus_of(Vendor::Nvidia).any(has_driver));
        // WSL uses the driver of Windows.
        if let Some(gpu) = without.filter(|_| node("/dev/dxg").next().is_none()) {
            findings.push(Finding::error(
                "no-driver",
                format!("{target} has a GPU ({}), but no NVIDIA driver is loaded", gpu.name),
                "set services.xserver.videoDrivers = [ \"nvidia\" ] on the host and reboot; a \
                 driver update also needs a reboot",
            ));
        }
        findings.extend(forbidden(node("/dev/nvidiactl"), "CUDA", target));
    }
    if has_backend(manifest, "rocm") && gpus_of(Vendor::Amd).next().is_some() {
        if node("/dev/kfd").next().is_none() {
            findings.push(Finding::error(
                "no-driver",
                format!("{target} has no /dev/kfd, which ROCm needs"),
                "the kernel module amdgpu must drive the card: boot.initrd.kernelModules = \
                 [ \"amdgpu\" ] on the host, or pass the device into the container",
            ));
        }
        findings.extend(forbidden(node("/dev/kfd"), "ROCm", target));
    }
    if has_backend(manifest, "vulkan") {
        if state.vulkan_drivers.is_empty() {
            findings.push(Finding::error(
                "no-vulkan-driver",
                format!("{target} has no Vulkan driver: no file under vulkan/icd.d names one"),
                "set hardware.graphics.enable = true on the host",
            ));
        }
        let usable = node("/dev/dri/renderD").any(|(_, usable)| *usable);
        if !usable {
            findings.extend(forbidden(node("/dev/dri/renderD"), "Vulkan", target));
        }
    }
    findings
}

/// Reports the first device file that the login user may not use.
fn forbidden<'a>(
    mut nodes: impl Iterator<Item = (&'a String, &'a bool)>,
    what: &str,
    target: &str,
) -> Option<Finding> {
    let (node, _) = nodes.find(|(_, usable)| !**usable)?;
    Some(Finding::error(
        "gpu-forbidden",
        format!("the login user cannot access {node} on {target}, which {what} needs"),
        "add that user to the groups render and video: users.users.NAME.extraGroups",
    ))
}

fn nix(state: &TargetState, target: &str) -> Option<Finding> {
    match state.nix {
        TargetNix { program: Some(false), .. } => Some(without_nix(target)),
        TargetNix { writable: Some(false), .. } => Some(Finding::error(
            "target-store-read-only",
            format!("{target} has no running nix-daemon, and its store is read-only"),
            "start the daemon there (systemctl start nix-daemon.socket), or log in as its owner",
        )),
        TargetNix { trusts_us: Some(false), .. } => Some(untrusted(target, Severity::Warning)),
        _ => None,
    }
}

const MIB: u64 = 1 << 20;

/// Checks whether the model fits into the memory of the GPUs or of the machine.
pub fn model_fits(
    manifest: &Manifest,
    bytes: u64,
    state: &TargetState,
    target: &str,
) -> Option<Finding> {
    // A program sees one MIG slice of a partitioned GPU.
    let slice = state.gpus.iter().flat_map(|gpu| &gpu.mig_bytes).max();
    let whole = state.conditions.vram_free_bytes.iter().copied().fold(0, u64::saturating_add);
    let is_unified = |gpu: &Gpu| gpu.unified_memory && gpu.vendor == Vendor::Nvidia;
    let free = (has_backend(manifest, "cuda") && !state.gpus.iter().any(is_unified))
        .then(|| slice.copied().unwrap_or(whole))
        .filter(|free| *free > 0);
    // Their free memory is unknown, only their total.
    let is_card = |gpu: &&Gpu| gpu.vendor == Vendor::Amd && !gpu.unified_memory;
    let amd = state.gpus.iter().filter(is_card);
    let all = (manifest.backends == ["rocm"])
        .then(|| amd.map(|gpu| gpu.vram_bytes))
        .and_then(|mut all| all.try_fold(0, |sum: u64, bytes| sum.checked_add(bytes?)))
        // Less than this is memory reserved for an integrated GPU.
        .filter(|all| *all > 4 << 30);
    if let Some(room) = free.or(all) {
        return (bytes > room).then(|| {
            let is_free = if free.is_some() { " free" } else { "" };
            Finding::error(
                "model-too-large",
                format!(
                    "the model needs {}, but the GPUs of {target} have {}{is_free}",
                    units::bytes(bytes),
                    units::bytes(room)
                ),
                "stop other GPU programs (see nvidia-smi or rocm-smi), choose a smaller model, or \
                 keep layers on the CPU: `-- -ngl N`",
            )
        });
    }
    let free = state.conditions.memory_available_bytes?;
    (bytes > free).then(|| {
        Finding::error(
            "model-too-large",
            format!(
                "the model needs {}, but {target} has {} of memory available: it would be read \
                 from disk for every token, or be killed",
                units::bytes(bytes),
                units::bytes(free)
            ),
            "free memory there, or choose a smaller model",
        )
    })
}

/// Checks whether the missing paths of the closure fit into the target's store.
pub fn closure_fits(bytes: u64, state: &TargetState, target: &str) -> Option<Finding> {
    let free = state.store_room?;
    (bytes > free).then(|| {
        Finding::error(
            "target-disk-full",
            format!(
                "the closure needs {}, but {target}'s store has {} free",
                units::bytes(bytes),
                units::bytes(free)
            ),
            format!("`ssh {target} nix-collect-garbage` frees unused paths"),
        )
    })
}

/// Warns about conditions that distort the results.
fn disturbances(conditions: &Conditions, target: &str) -> Vec<Finding> {
    let mut findings = vec![];
    let mut warn = |code, message: String, help: &str| {
        findings.push(Finding::warning(code, message, help));
    };
    let processors = f64::from(conditions.processors.max(1));
    if let Some(load) = conditions.load_average.filter(|load| *load > processors / 2.0) {
        warn(
            "target-busy",
            format!("{target} is busy: load {load:.1} on {processors} processors"),
            "measure when nothing else runs there; `--repetitions 20` shows the spread",
        );
    }
    let saving = ["powersave", "conservative"];
    // With these drivers, `powersave` is the governor that follows the load.
    let drivers = ["intel_pstate", "amd-pstate-epp", "amd_pstate_epp"];
    let follows = conditions.cpufreq_driver.as_deref().is_some_and(|name| drivers.contains(&name));
    let mut governors = conditions.governors.iter().filter(|_| !follows);
    if let Some(governor) = governors.find(|name| saving.contains(&name.as_str())) {
        warn(
            "governor",
            format!("the cpufreq governor of {target} is {governor}: clocks may be held low"),
            "run `cpupower frequency-set --governor performance` there while measuring",
        );
    }
    if conditions.on_battery == Some(true) {
        warn("on-battery", format!("{target} runs on battery"), "plug it in");
    }
    if let Some(used) = conditions.swap_used_bytes.filter(|used| *used > 256 * MIB) {
        warn(
            "swap-in-use",
            format!("{target} has {} in swap", units::bytes(used)),
            "free memory there first: swapping disturbs the measurement",
        );
    }
    if let Some(why) =
        conditions.gpu_throttle_reasons.iter().find_map(|bits| throttle_reason(*bits))
    {
        warn(
            "gpu-throttled",
            format!("a GPU of {target} is throttled: {why}"),
            "see `nvidia-smi -q -d PERFORMANCE` there",
        );
    }
    findings
}

/// Warns if heat throttled the processors during the run.
pub fn throttled(before: &Conditions, after: Option<u64>, target: &str) -> Option<Finding> {
    let times = after?.checked_sub(before.throttle_events?).filter(|times| *times > 0)?;
    Some(Finding::warning(
        "throttled",
        format!("{target}'s CPU was throttled by heat during the measurement ({times} times)"),
        "let it cool down, or improve its cooling, and measure again",
    ))
}

/// Makes the finding of a SIGKILL precise: the kernel's counter shows whether its OOM killer sent it.
pub fn killed(finding: &Finding, before: &Conditions, after: &Conditions, target: &str) -> Finding {
    let numbers = before
        .memory_available_bytes
        .map_or_else(String::new, |bytes| format!("; {} were free before", units::bytes(bytes)));
    let Some((old, new)) = before.oom_kills.zip(after.oom_kills) else { return finding.clone() };
    if new > old {
        return Finding {
            message: format!(
                "{}: its kernel reports it (oom_kill){numbers}",
                finding.message.replace(", most likely because ", " because ")
            ),
            ..finding.clone()
        };
    }
    Finding::error(
        "killed",
        format!(
            "{}, but not for lack of memory: the kernel of {target} counts no OOM kill{numbers}",
            finding.message.split(", most likely").next().unwrap_or_default()
        ),
        "something there sent it SIGKILL: a session limit (systemd-oomd, `ulimit -t`), a \
         watchdog or a person; run it again",
    )
}

/// Returns the first reason among NVML's `nvmlClocksEventReasons` that means unusual throttling. Idle
/// (bit 0), clocks that the user has set (1, 8) and the power cap (2), the usual limit under load,
/// do not.
fn throttle_reason(bits: u64) -> Option<&'static str> {
    let reasons = [
        (0x8, "a hardware slow-down"),
        (0x20, "heat (software)"),
        (0x40, "heat (hardware)"),
        (0x80, "power brake"),
    ];
    reasons.into_iter().find(|(bit, _)| bits & bit != 0).map(|(_, why)| why)
}

#[cfg(test)]
#[path = "preflight_rules_tests.rs"]
mod tests;
