//! A machine's CPU cores: their number, their kinds, and how many threads llama.cpp should
//! use. Values that the kernel does not report stay unknown, and no recommendation depends on
//! them.
//!
//! Pure: no I/O, no clock.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::hardware::cpu::{Arch, Cpu, Identity, processors};
use crate::hardware::cpu_names::{core_name, is_always_hybrid, is_hybrid};
use crate::ui::units;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cores {
    /// Physical cores that are online.
    pub physical: u32,
    /// Hardware threads, which Linux calls CPUs.
    pub logical: u32,
    /// Kinds of cores, fastest first. Empty if it is unknown whether the cores differ.
    #[serde(default)]
    pub kinds: Vec<CoreKind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sockets: Option<u32>,
    /// NUMA nodes that have CPUs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub numa_nodes: Option<u32>,
    /// CPUs that are present but offline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offline: Option<u32>,
    /// Cores that processes may use, if an affinity or a container's quota limits them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usable: Option<u32>,
}

/// Cores of equal speed, apart from turbo clocks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CoreKind {
    /// `P`, `E`, `LP-E` or the name of an ARM core. None if all cores are of this kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub cores: u32,
    pub threads: u32,
    /// The kernel's `cpu_capacity` (ARM only); the machine's fastest core has 1024.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_mhz: Option<u32>,
}

/// Minimum capacity of a kind that is worth using, as a share of the fastest kind's. Threads
/// wait for each other after each operation, so one slow core delays all the others.
const WORTH_USING: f64 = 0.75;
/// Minimum ratio of two clocks that count as equal: turbo clocks of equal cores differ less.
const SAME_CLOCK: f64 = 0.85;

impl Cores {
    /// Reads the sections `cpuinfo`, `cores`, `siblings` and `nodes` of probe.sh's output.
    pub fn read<'a>(cpu: &Cpu, section: &dyn Fn(&str) -> &'a str) -> Option<Self> {
        let text = section("cores");
        let value = |name: &str| {
            text.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix('=')?.trim()))
        };
        let list = |name: &str| value(name).map(cpu_list);
        let online = list("online");
        let mut cpus = logical_cpus(section("cpuinfo"), text, section("siblings"));
        cpus.retain(|cpu| online.as_ref().is_none_or(|online| online.contains(&cpu.id)));
        let physical = distinct(cpus.iter().map(|cpu| cpu.core.clone()))?;
        let nodes = section("nodes").lines().filter(|line| !line.trim().is_empty()).count();
        let is_without_numa = || !section("siblings").trim().is_empty() && value("numa").is_none();
        let numa_nodes = match nodes {
            0 => is_without_numa().then_some(1),
            nodes => Some(number(nodes)),
        };
        let packages = distinct(cpus.iter().map(|cpu| cpu.package));
        let sockets = match (cpu.arch, numa_nodes) {
            // Some ARM kernels report each cluster of cores as a package.
            (Arch::Aarch64, Some(1)) => Some(1),
            (Arch::Aarch64, None) => None,
            _ => packages,
        };
        let present = list("present").map(|present| present.len());
        let offline = present.zip(online.as_ref()).map(|(all, on)| all.saturating_sub(on.len()));
        Some(Self {
            physical,
            logical: number(cpus.len()),
            kinds: kinds(cpu, &cpus, &list),
            sockets,
            numa_nodes,
            offline: offline.filter(|count| *count > 0).map(number),
            usable: usable(&cpus, list("allowed"), value("quota"))
                .filter(|usable| *usable < physical),
        })
    }

    /// Reads a nixos-facter report's `hardware.cpu`, which has one entry per socket on x86, and
    /// does not distinguish kinds of cores.
    pub fn of_report(entries: &[serde_json::Value]) -> Option<Self> {
        let sum = |name: &str| {
            // An unused socket number has an empty entry.
            let entries = entries.iter().filter(|entry| entry["features"].is_array());
            let counts = entries.map(|entry| entry[name].as_u64().filter(|count| *count > 0));
            counts.sum::<Option<u64>>().and_then(|sum| u32::try_from(sum).ok())
        };
        let (physical, logical) = (sum("cores").filter(|sum| *sum > 0)?, sum("siblings")?);
        Some(Self { physical, logical, ..Self::default() })
    }

    /// Returns how many threads llama.cpp should use: one for each core on one socket that is
    /// of the fastest kind or almost as fast.
    pub fn threads(&self) -> Option<u32> {
        let first = self.kinds.first()?;
        let is_worth_using = |kind: &&CoreKind| match (kind.capacity, first.capacity) {
            (Some(capacity), Some(fastest)) => {
                f64::from(capacity) >= WORTH_USING * f64::from(fastest)
            }
            _ => *kind == first,
        };
        let fast: u32 = self.kinds.iter().filter(is_worth_using).map(|kind| kind.cores).sum();
        let on_one_socket = fast.div_ceil(self.sockets_with_memory()?);
        Some(on_one_socket.min(self.usable.unwrap_or(u32::MAX)).max(1))
    }

    /// Returns how many sockets have separate memory. In a virtual machine, or if the firmware
    /// interleaves the memory, all sockets share one NUMA node.
    pub fn sockets_with_memory(&self) -> Option<u32> {
        match self.sockets? {
            0 | 1 => Some(1),
            sockets => Some(sockets.min(self.numa_nodes?)),
        }
    }

    /// Formats the cores as `14 (6 P with 2 threads each, 8 E)`.
    pub fn describe(&self) -> String {
        let count = |number: u32, noun| units::count(number as usize, noun);
        let kinds: Vec<String> = self.kinds.iter().map(describe_kind).collect();
        let mut parts = vec![match &self.kinds[..] {
            [] => format!("{}, {}", self.physical, count(self.logical, "thread")),
            [_] => kinds.concat(),
            _ => format!("{} ({})", self.physical, kinds.join(", ")),
        }];
        let sockets = self.sockets.filter(|sockets| *sockets > 1);
        parts.extend(sockets.map(|sockets| count(sockets, "socket")));
        let nodes = self.numa_nodes.filter(|nodes| *nodes > 1);
        parts.extend(nodes.map(|nodes| count(nodes, "NUMA node")));
        parts.extend(self.offline.map(|offline| format!("{} offline", count(offline, "CPU"))));
        parts.extend(self.usable.map(|usable| format!("{usable} usable")));
        parts.join(", ")
    }
}

fn describe_kind(kind: &CoreKind) -> String {
    let name = kind.name.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
    let each = kind.threads / kind.cores.max(1);
    let threads = if each > 1 { format!(" with {each} threads each") } else { String::new() };
    format!("{}{name}{threads}", kind.cores)
}

/// A hardware thread, which Linux calls a CPU.
#[derive(Debug, Clone, Default)]
struct LogicalCpu {
    id: u32,
    /// A name that only the CPUs of the same core share.
    core: Option<String>,
    package: Option<u32>,
    capacity: Option<u32>,
    max_mhz: Option<u32>,
    /// The implementer and part (ARM only).
    part: Option<Identity>,
}

fn logical_cpus(cpuinfo: &str, cores: &str, siblings: &str) -> Vec<LogicalCpu> {
    let mut cpus: BTreeMap<u32, LogicalCpu> = BTreeMap::new();
    for (id, fields) in processors(cpuinfo) {
        let number = |name: &str| fields.get(name)?.parse::<u32>().ok();
        let (package, core) = (number("physical id"), number("core id"));
        let part = fields.get("CPU part").and_then(|part| {
            let vendor = fields.get("CPU implementer")?;
            let model = u32::from_str_radix(part.strip_prefix("0x")?, 16).ok()?;
            Some(Identity { vendor: (*vendor).to_owned(), family: 0, model })
        });
        let core = package.zip(core).map(|(package, core)| format!("{package}:{core}"));
        cpus.insert(id, LogicalCpu { id, core, package, part, ..LogicalCpu::default() });
    }
    for line in cores.lines().filter_map(|line| line.strip_prefix("cpu=")) {
        let mut words = line.split_whitespace();
        let Some(id) = words.next().and_then(|word| word.parse().ok()) else { continue };
        let cpu = cpus.entry(id).or_insert_with(|| LogicalCpu { id, ..LogicalCpu::default() });
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            let value = value.parse::<u32>().ok();
            match key {
                "package" => cpu.package = value.or(cpu.package),
                "capacity" => cpu.capacity = value,
                "max" => cpu.max_mhz = value.map(|kilohertz| kilohertz / 1000),
                _ => {}
            }
        }
    }
    for line in siblings.lines().map(str::trim) {
        for id in cpu_list(line) {
            if let Some(cpu) = cpus.get_mut(&id) {
                cpu.core = Some(line.to_owned());
            }
        }
    }
    cpus.into_values().collect()
}

/// Groups the cores by kind. Returns nothing if the cores may differ but the kernel does not
/// report how.
fn kinds(
    cpu: &Cpu,
    cpus: &[LogicalCpu],
    list: &dyn Fn(&str) -> Option<BTreeSet<u32>>,
) -> Vec<CoreKind> {
    let is_x86 = cpu.arch == Arch::X86_64;
    let labels: Option<Vec<String>> = match is_x86 {
        true => x86_labels(&cpu.identity, cpus, list),
        false => cpus.iter().map(|cpu| cpu.part.as_ref().map(core_name)).collect(),
    };
    let mut groups: BTreeMap<String, Vec<&LogicalCpu>> = BTreeMap::new();
    for (label, cpu) in labels.unwrap_or_default().into_iter().zip(cpus) {
        groups.entry(label).or_default().push(cpu);
    }
    let only = groups.len() == 1;
    let mut kinds: Vec<CoreKind> = groups
        .into_iter()
        .map(|(name, group)| CoreKind {
            name: (!only).then_some(name),
            cores: distinct(group.iter().map(|cpu| cpu.core.clone())).unwrap_or_default(),
            threads: number(group.len()),
            capacity: group.iter().filter_map(|cpu| cpu.capacity).max().filter(|_| !is_x86),
            max_mhz: group.iter().filter_map(|cpu| cpu.max_mhz).max(),
        })
        .collect();
    let is_ordered = only
        || kinds.iter().all(|kind| kind.capacity.is_some())
        || kinds.iter().all(|kind| kind.max_mhz.is_some());
    if !is_x86 && !is_ordered {
        return vec![];
    }
    let x86_rank =
        |kind: &CoreKind| X86_KINDS.iter().position(|name| kind.name.as_deref() == Some(name));
    kinds.sort_by_key(|kind| (x86_rank(kind), Reverse(kind.capacity), Reverse(kind.max_mhz)));
    kinds
}

/// Names of x86 kinds, fastest first. AMD's compact cores differ only in clock and cache.
const X86_KINDS: [&str; 5] = ["P", "E", "LP-E", "full-size", "compact"];

/// Labels each CPU with its kind, from the kernel's lists, or from clocks that differ more than
/// turbo clocks do. None if the kinds are unknown.
fn x86_labels(
    identity: &Identity,
    cpus: &[LogicalCpu],
    list: &dyn Fn(&str) -> Option<BTreeSet<u32>>,
) -> Option<Vec<String>> {
    if let Some(core) = list("core") {
        let atom = list("atom").unwrap_or_default();
        let lowpower = list("lowpower").unwrap_or_default();
        let clocks = cpus.iter().filter(|cpu| atom.contains(&cpu.id)).map(|cpu| cpu.max_mhz);
        let fastest_atom = clocks.max().flatten();
        let is_slow = |cpu: &LogicalCpu| {
            cpu.max_mhz.zip(fastest_atom).is_some_and(|(clock, top)| !is_same_clock(clock, top))
        };
        let label = |cpu: &LogicalCpu| match cpu.id {
            id if core.contains(&id) => Some("P".to_owned()),
            id if lowpower.contains(&id) => Some("LP-E".to_owned()),
            id if atom.contains(&id) => Some(if is_slow(cpu) { "LP-E" } else { "E" }.to_owned()),
            _ => None,
        };
        return cpus.iter().map(label).collect();
    }
    let Some(groups) = clock_groups(cpus) else {
        // A virtual machine, or a kernel without clocks: a hybrid CPU may have two kinds.
        return (!is_hybrid(identity)).then(|| vec![String::new(); cpus.len()]);
    };
    // Lakefield's two kinds have almost the same clock.
    if is_always_hybrid(identity) && groups.iter().all(|group| *group == 0) {
        return None;
    }
    let names = if identity.vendor == "GenuineIntel" { &X86_KINDS[..3] } else { &X86_KINDS[3..] };
    groups.into_iter().map(|group| names.get(group).map(ToString::to_string)).collect()
}

/// Groups the CPUs by clock: returns each CPU's group number, 0 for the fastest.
fn clock_groups(cpus: &[LogicalCpu]) -> Option<Vec<usize>> {
    let clocks: Vec<u32> = cpus.iter().map(|cpu| cpu.max_mhz).collect::<Option<_>>()?;
    let mut tops: Vec<u32> = vec![];
    for clock in clocks.iter().copied().collect::<BTreeSet<_>>().into_iter().rev() {
        if tops.last().is_none_or(|top| !is_same_clock(clock, *top)) {
            tops.push(clock);
        }
    }
    let group = |clock: &u32| tops.iter().rposition(|top| clock <= top);
    clocks.iter().map(group).collect()
}

fn is_same_clock(clock: u32, top: u32) -> bool {
    f64::from(clock) >= SAME_CLOCK * f64::from(top)
}

/// Returns how many cores a process may use at once, by its affinity and its cgroup's quota.
fn usable(cpus: &[LogicalCpu], allowed: Option<BTreeSet<u32>>, quota: Option<&str>) -> Option<u32> {
    let by_affinity = allowed.and_then(|allowed| {
        let cpus = cpus.iter().filter(|cpu| allowed.contains(&cpu.id));
        distinct(cpus.map(|cpu| cpu.core.clone()))
    });
    // `200000 100000`: microseconds per period; `max 100000` means no limit.
    let by_quota = quota.and_then(|text| {
        let (time, period) = text.split_once(' ')?;
        let (time, period) = (time.parse::<u64>().ok()?, period.trim().parse::<u64>().ok()?);
        u32::try_from(time.checked_div(period)?.max(1)).ok()
    });
    [by_affinity, by_quota].into_iter().flatten().filter(|count| *count > 0).min()
}

/// Counts the distinct items. None if one is unknown, or if there are none.
fn distinct<T: Ord>(items: impl Iterator<Item = Option<T>>) -> Option<u32> {
    let set: BTreeSet<T> = items.collect::<Option<_>>()?;
    Some(number(set.len())).filter(|count| *count > 0)
}

/// Parses a kernel CPU list, such as `0-3,8`.
fn cpu_list(text: &str) -> BTreeSet<u32> {
    /// Above the number of CPUs of any kernel configuration.
    const MOST: u32 = 1 << 16;
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        (last < MOST).then_some(first..=last)
    };
    text.split(',').filter_map(range).flatten().collect()
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[path = "cores_tests.rs"]
mod tests;
