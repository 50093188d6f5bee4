//! This machine's cores, memory, name and clock.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};
use std::{fs, thread};

/// Returns the seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

/// Returns how many programs can run at once.
pub fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

pub fn memory() -> Option<u64> {
    meminfo("MemTotal:")
}

/// Returns the bytes of memory that programs can use without swapping. In a container or a systemd
/// unit that may be less than the machine has.
pub fn free_memory() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let group = groups.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    let root = Path::new("/sys/fs/cgroup");
    let folder = root.join(group);
    let limits = folder.ancestors().take_while(|folder| folder.starts_with(root)).map(left);
    limits.chain([meminfo("MemAvailable:")]).flatten().min()
}

/// Returns the bytes that a control group can still use, if it has a limit. Cached files count as
/// free.
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

/// Returns the resident memory of a process in bytes; `None` if it has exited.
pub fn resident(process: u32) -> Option<u64> {
    kilobytes(&fs::read_to_string(format!("/proc/{process}/status")).ok()?, "VmRSS:")
}

/// Returns the bytes that a process has read and written so far. If a shared SSH connection sends
/// its data, the position in its standard input counts.
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

/// Returns this machine's host name.
pub fn machine_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "localhost".to_owned() } else { name.to_owned() }
}
