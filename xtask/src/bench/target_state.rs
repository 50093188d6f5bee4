//! The state of a target before a measurement: what affects the results ([`Conditions`]), and what
//! the pre-flight checks need. It is parsed from the output of hardware/probe.sh with
//! hardware/preflight.sh; a value that cannot be read is unknown and causes no finding.
//!
//! Pure: no I/O, no clock.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;

use crate::hardware::facts::Gpu;
use crate::hardware::probe_output::sections;
use crate::ui::sanitize::sanitize_name;

/// Conditions that affect the measurement.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Conditions {
    /// Load average of the last minute.
    pub load_average: Option<f64>,
    pub processors: u32,
    pub kernel: Option<String>,
    /// Active cpufreq governors; empty if the kernel does not control the clocks, as in a virtual
    /// machine.
    pub governors: BTreeSet<String>,
    pub cpufreq_driver: Option<String>,
    /// Memory available without swapping, within the container's limit.
    pub memory_available_bytes: Option<u64>,
    pub swap_used_bytes: Option<u64>,
    /// Null for a machine without a battery.
    pub on_battery: Option<bool>,
    /// Number of times that heat throttled the processors since the machine started.
    pub throttle_events: Option<u64>,
    /// The same during the measurement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throttled_meanwhile: Option<u64>,
    /// Processes that the kernel's OOM killer has killed since the machine started.
    pub oom_kills: Option<u64>,
    /// Free memory of each NVIDIA GPU.
    pub vram_free_bytes: Vec<u64>,
    /// Why NVIDIA GPUs are throttled: the bits of `clocks_throttle_reasons.active`.
    pub gpu_throttle_reasons: Vec<u64>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct TargetState {
    pub conditions: Conditions,
    pub gpus: Vec<Gpu>,
    /// Device files of GPUs, and whether the login user may use them.
    pub devices: BTreeMap<String, bool>,
    /// Manifest files of Vulkan drivers (ICDs).
    pub vulkan_drivers: Vec<String>,
    /// Free disk space of the store and of the model cache, in bytes.
    pub store_room: Option<u64>,
    pub cache_room: Option<u64>,
    pub nix: TargetNix,
    /// A running llama-bench of another user: `process 4711 of alice`.
    pub other_bench: Option<String>,
}

/// Properties of the target's Nix that matter for copying.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TargetNix {
    /// Whether SSH finds the program that serves the store. None if it was not checked.
    pub program: Option<bool>,
    /// Whether there is a daemon, or the login user can write the store.
    pub writable: Option<bool>,
    /// Whether it accepts unsigned paths from the login user.
    pub trusts_us: Option<bool>,
}

impl TargetState {
    /// Parses the output of the script.
    pub fn read(answer: &str, gpus: Vec<Gpu>) -> Self {
        let sections = sections(answer);
        let section = |name: &str| sections.get(name).map_or("", String::as_str);
        let (devices, room) = (section("devices"), section("room"));
        let free = |name: &str| {
            room.lines().find_map(|line| free_bytes(line.strip_prefix(name)?.strip_prefix(' ')?))
        };
        Self {
            conditions: conditions(&section),
            gpus,
            devices: devices
                .lines()
                .filter_map(|line| line.split_once(' '))
                .map(|(state, node)| (node.to_owned(), state == "usable"))
                .collect(),
            vulkan_drivers: lines(section("vulkan-drivers")).map(str::to_owned).collect(),
            store_room: free("store"),
            cache_room: free("cache"),
            nix: nix(section("store")),
            other_bench: section("benches").lines().find_map(|line| {
                let (process, user) = line.split_once(' ')?;
                Some(format!("process {process} of {}", sanitize_name(user)))
            }),
        }
    }
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty())
}

fn values<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    text.lines().filter_map(move |line| Some(line.strip_prefix(name)?.strip_prefix('=')?.trim()))
}

fn conditions<'a>(section: &dyn Fn(&str) -> &'a str) -> Conditions {
    let meminfo = section("meminfo");
    let kilobytes = |name: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
    };
    let limit = section("memory-limit");
    let bytes = |name: &'static str| values(limit, name).next()?.parse::<u64>().ok();
    let within = bytes("limit").zip(bytes("used")).map(|(most, used)| most.saturating_sub(used));
    let processors = section("cpuinfo").lines().filter(|line| line.starts_with("processor"));
    let swap = kilobytes("SwapTotal").zip(kilobytes("SwapFree"));
    let states: Vec<(u64, Option<u64>)> =
        lines(section("gpu-state")).filter_map(gpu_state).collect();
    Conditions {
        load_average: section("load").split_whitespace().next().and_then(|word| word.parse().ok()),
        processors: u32::try_from(processors.count()).unwrap_or(u32::MAX),
        kernel: lines(section("kernel")).next().map(str::to_owned),
        governors: values(section("governor"), "governor").map(str::to_owned).collect(),
        cpufreq_driver: values(section("governor"), "driver").next().map(str::to_owned),
        memory_available_bytes: [kilobytes("MemAvailable"), within].into_iter().flatten().min(),
        swap_used_bytes: swap.map(|(total, free)| total.saturating_sub(free)),
        on_battery: on_battery(section("power")),
        throttle_events: throttle_events(section("throttle")),
        throttled_meanwhile: None,
        oom_kills: values(section("oom"), "oom_kill").next().and_then(|n| n.parse().ok()),
        vram_free_bytes: states.iter().map(|(free, _)| *free).collect(),
        gpu_throttle_reasons: states.iter().filter_map(|(_, reasons)| *reasons).collect(),
    }
}

/// Returns the sum of `cpuN/thermal_throttle/*_throttle_count`. Every core repeats its package's
/// count, so the sum is too large, but it grows with each event.
pub fn throttle_events(text: &str) -> Option<u64> {
    let mut counts =
        text.lines().filter_map(|line| line.split_once('=')?.1.trim().parse::<u64>().ok());
    let first = counts.next()?;
    counts.try_fold(first, u64::checked_add)
}

/// Whether a battery of the machine is discharging. Batteries of devices such as mice have the scope
/// `Device`.
fn on_battery(text: &str) -> Option<bool> {
    let supplies: Vec<HashMap<&str, &str>> = text
        .split("\n\n")
        .map(|block| block.lines().filter_map(|line| line.split_once('=')).collect())
        .filter(|supply: &HashMap<&str, &str>| supply.get("scope") != Some(&"Device"))
        .collect();
    let mut batteries = supplies.iter().filter(|supply| supply.get("type") == Some(&"Battery"));
    batteries.clone().next()?;
    Some(batteries.any(|battery| battery.get("status") == Some(&"Discharging")))
}

/// Parses `11264, 0x0000000000000001`: free memory in MiB, and the throttle reasons.
fn gpu_state(line: &str) -> Option<(u64, Option<u64>)> {
    let (free, reasons) = line.split_once(',')?;
    let reasons = reasons.trim().strip_prefix("0x");
    Some((
        free.trim().parse::<u64>().ok()?.checked_mul(1 << 20)?,
        reasons.and_then(|bits| u64::from_str_radix(bits, 16).ok()),
    ))
}

/// Parses the last line of `df -Pk`: the free KiB precede the column with the percent sign.
fn free_bytes(line: &str) -> Option<u64> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let at = words.iter().position(|word| word.ends_with('%'))?;
    words.get(at.checked_sub(1)?)?.parse::<u64>().ok()?.checked_mul(1024)
}

fn nix(text: &str) -> TargetNix {
    let has = |word: &str| lines(text).any(|line| line == word);
    if !has("asked") {
        return TargetNix::default();
    }
    let info = lines(text).find(|line| line.starts_with('{'));
    let info = info.and_then(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let trusted = info.as_ref().and_then(|info| info.get("trusted"));
    TargetNix {
        program: Some(has("program")),
        // A store that does not exist yet has no folder.
        writable: has("there").then(|| has("daemon") || has("writable")),
        trusts_us: trusted.and_then(|t| t.as_bool().or_else(|| t.as_u64().map(|n| n != 0))),
    }
}

#[cfg(test)]
#[path = "target_state_tests.rs"]
mod tests;
