//! What this machine has: cores, memory, its name and its clock.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};
use std::{fs, thread};

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

/// How many programs can run at once.
pub fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

pub fn memory() -> Option<u64> {
    meminfo("MemTotal:")
}

/// What programs can have without others being swapped out, in bytes; in a container or a
/// systemd unit that may be less than the machine has.
pub fn free_memory() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let group = groups.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    let root = Path::new("/sys/fs/cgroup");
    let folder = root.join(group);
    let limits = folder.ancestors().take_while(|folder| folder.starts_with(root)).map(left);
    limits.chain([meminfo("MemAvailable:")]).flatten().min()
}

/// What a control group may still take, where it has a limit; the files it has cached are
/// given up for programs.
pub fn left(group: &Path) -> Option<u64> {
    let read = |name: &str| fs::read_to_string(group.join(name)).ok();
    let limit: u64 = read("memory.max")?.trim().parse().ok()?;
    let taken: u64 = read("memory.current")?.trim().parse().ok()?;
    let stat = read("memory.stat")?;
    let cached = stat.lines().find_map(|line| line.strip_prefix("inactive_file "))?;
    Some(limit.saturating_sub(taken.saturating_sub(cached.trim().parse().ok()?)))
}

pub fn meminfo(name: &str) -> Option<u64> {
    kilobytes(&fs::read_to_string("/proc/meminfo").ok()?, name)
}

/// The memory of a process, in bytes; `None`: it has ended.
pub fn resident(process: u32) -> Option<u64> {
    kilobytes(&fs::read_to_string(format!("/proc/{process}/status")).ok()?, "VmRSS:")
}

/// How many bytes a process has read and written so far. What a connection that ssh shares
/// sends for it is seen by how far its standard input is read.
pub fn moved(process: u32) -> u64 {
    let sum = |file: &str, names: &[&str]| -> u64 {
        let text = fs::read_to_string(format!("/proc/{process}/{file}")).unwrap_or_default();
        let value = |line: &str| {
            names.iter().find_map(|name| line.strip_prefix(name)?.trim().parse::<u64>().ok())
        };
        text.lines().filter_map(value).sum()
    };
    sum("io", &["rchar:", "wchar:"]).saturating_add(sum("fdinfo/0", &["pos:"]))
}

fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// What this machine is called.
pub fn machine_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "localhost".to_owned() } else { name.to_owned() }
}
