//! Processes that outlive their parent. A killed Nix leaves the compilers of its builds running,
//! in other sessions, which the signal to its process group does not reach; and Nix outlives a
//! killed xtask.

use std::collections::BTreeSet;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{fs, thread};

/// Time limit for killed processes to exit, such as a compiler that writes to a slow disk.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Makes the kernel send the child SIGTERM when the thread that starts it ends. That thread waits
/// for the child, so it ends first only if xtask is killed.
#[expect(unsafe_code, reason = "std has no parent-death signal")]
pub(crate) fn end_with_us(command: &mut Command) {
    // SAFETY: between fork and exec only prctl(2) is called, which is async-signal-safe.
    unsafe {
        command.pre_exec(|| {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM);
            Ok(())
        });
    }
}

/// Makes xtask the parent of processes that its children leave behind, so that [`end`] finds them.
#[expect(unsafe_code, reason = "std has no child subreaper")]
pub fn adopt() {
    // SAFETY: prctl(2) with an integer; it touches no memory of ours.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) };
}

/// Kills adopted processes with their sessions; xtask's own children are in its session. Call it
/// when no child runs that leaves processes behind on purpose.
pub fn end() {
    let began = Instant::now();
    while began.elapsed() < TIMEOUT {
        let all = processes();
        let us = std::process::id();
        let Some(ours) = all.iter().find(|process| process.pid == us).map(|p| p.session) else {
            return;
        };
        let left: BTreeSet<u32> = all
            .iter()
            .filter(|process| process.parent == us && process.session != ours)
            .map(|process| process.session)
            .collect();
        for process in all.iter().filter(|process| left.contains(&process.session)) {
            kill(process.pid, process.parent == us);
        }
        if left.is_empty() {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

#[expect(unsafe_code, reason = "std signals and waits for its own children only")]
fn kill(pid: u32, is_our_child: bool) {
    let Ok(pid) = libc::pid_t::try_from(pid) else { return };
    // SAFETY: plain integers, and a null pointer where waitpid(2) takes one for "no
    // status wanted". A process that has ended already is what we wanted.
    unsafe {
        libc::kill(pid, libc::SIGKILL);
        if is_our_child {
            libc::waitpid(pid, std::ptr::null_mut(), libc::WNOHANG);
        }
    }
}

/// Returns the processes of a group.
pub(crate) fn group(group: u32) -> impl Iterator<Item = u32> {
    processes().into_iter().filter(move |process| process.group == group).map(|it| it.pid)
}

#[derive(Debug, PartialEq, Eq)]
struct Process {
    pid: u32,
    parent: u32,
    group: u32,
    session: u32,
}

fn processes() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return vec![] };
    let numbered = entries.flatten().filter(|entry| {
        entry.file_name().to_str().is_some_and(|name| name.bytes().all(|b| b.is_ascii_digit()))
    });
    numbered
        .filter_map(|entry| parse(&fs::read_to_string(entry.path().join("stat")).ok()?))
        .collect()
}

/// Parses /proc/PID/stat, proc(5): pid (name) state parent group session …; the name may contain
/// brackets.
fn parse(stat: &str) -> Option<Process> {
    let (pid, _) = stat.split_once(' ')?;
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let parent = fields.nth(1)?.parse().ok()?;
    let mut next = || fields.next()?.parse().ok();
    let (group, session) = (next()?, next()?);
    Some(Process { pid: pid.parse().ok()?, parent, group, session })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_any_name_is_parsed() {
        let stat = "4711 (a) b (c)) S 17 4711 4710 0 -1 4194304 103";
        assert_eq!(
            parse(stat),
            Some(Process { pid: 4711, parent: 17, group: 4711, session: 4710 })
        );
        assert_eq!(parse("4711 (sh"), None);
        let us = std::process::id();
        assert!(processes().iter().any(|process| process.pid == us));
    }
}
