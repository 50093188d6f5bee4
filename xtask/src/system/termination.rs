//! Ends a child and its process group, because of Ctrl-C, a timeout, too much memory, or the
//! caller: SIGTERM first, SIGKILL later.

use std::time::{Duration, Instant};

use crate::system::interrupt;
use crate::system::invocation::Invocation;
use crate::system::process::Exit;
use crate::system::{orphans, resources};

/// Bytes. A transfer moves more within the limit, keep-alive packets move less.
const NEXT_TO_NOTHING: u64 = 64 << 10;

/// Decides when a child's process group must end, and ends it.
pub(crate) struct Termination {
    group: u32,
    deadline: Option<Instant>,
    grace: Duration,
    /// Ctrl-C presses that do not end this child.
    tolerated: usize,
    memory: Option<u64>,
    weighed_at: Instant,
    flow: Option<Flow>,
    asked_at: Option<Instant>,
    killed: bool,
    pub(crate) cause: Option<Exit>,
}

/// Data that a child moves.
struct Flow {
    limit: Duration,
    /// Bytes so far, and since when they have not increased.
    moved: u64,
    since: Instant,
    looked_at: Instant,
}

impl Flow {
    fn has_stalled(&mut self, group: u32) -> bool {
        if self.looked_at.elapsed() < Duration::from_secs(1).min(self.limit / 4) {
            return false;
        }
        self.looked_at = Instant::now();
        let moved: u64 = orphans::group(group).map(resources::moved).sum();
        // The sum is smaller after one of its children has exited.
        if moved.abs_diff(self.moved) > NEXT_TO_NOTHING {
            (self.moved, self.since) = (moved, Instant::now());
        }
        self.since.elapsed() > self.limit
    }
}

impl Termination {
    pub(crate) fn new(group: u32, timeout: Option<Duration>, invocation: &Invocation) -> Self {
        let now = Instant::now();
        Self {
            group,
            deadline: timeout.map(|timeout| now + timeout),
            grace: invocation.grace,
            tolerated: if invocation.for_the_report { interrupt::LAST } else { 0 },
            memory: invocation.memory,
            weighed_at: now,
            flow: invocation.stalled_after.map(|limit| Flow {
                limit,
                moved: 0,
                since: now,
                looked_at: now,
            }),
            asked_at: None,
            killed: false,
            cause: None,
        }
    }

    /// Ends it because the caller needs no more of it.
    pub(crate) fn give_up(&mut self) {
        self.cause.get_or_insert(Exit::GivenUp);
    }

    pub(crate) fn restart_time(&mut self, timeout: Option<Duration>) {
        self.deadline = timeout.map(|timeout| Instant::now() + timeout);
    }

    /// Checks at most every 20 ms, so as not to slow a child that prints a lot.
    fn too_large(&mut self) -> bool {
        let Some(memory) = self.memory else { return false };
        if self.weighed_at.elapsed() < Duration::from_millis(20) {
            return false;
        }
        self.weighed_at = Instant::now();
        // Only the first process of the group evaluates.
        resources::resident(self.group).is_some_and(|bytes| bytes > memory)
    }

    pub(crate) fn tick(&mut self) {
        if self.cause.is_none() {
            if interrupt::count() > self.tolerated {
                self.cause = Some(Exit::Interrupted);
            } else if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                self.cause = Some(Exit::TimedOut);
            } else if self.flow.as_mut().is_some_and(|flow| flow.has_stalled(self.group)) {
                self.cause = Some(Exit::Stalled);
            } else if self.too_large() {
                self.cause = Some(Exit::TooLarge);
                // It would grow further while it shuts down.
                self.grace = Duration::ZERO;
            }
        }
        if self.cause.is_none() || self.killed {
            return;
        }
        match self.asked_at {
            None => {
                signal_group(self.group, libc::SIGTERM);
                self.asked_at = Some(Instant::now());
            }
            Some(at) if at.elapsed() > self.grace || interrupt::count() > self.tolerated + 1 => {
                signal_group(self.group, libc::SIGKILL);
                self.killed = true;
            }
            Some(_) => {}
        }
    }
}

#[expect(unsafe_code, reason = "std has no way to signal a process group")]
pub(crate) fn signal_group(group: u32, signal: libc::c_int) {
    let Ok(group) = libc::pid_t::try_from(group) else { return };
    // SAFETY: kill(2) takes plain integers and touches no memory of ours. An error
    // (the group has ended) is what we wanted.
    unsafe { libc::kill(-group, signal) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::process::capture;

    fn sh(script: &str) -> Invocation {
        Invocation::new("/bin/sh").args(["-c", script])
    }

    #[test]
    fn a_stalled_program_is_ended_but_a_slow_one_is_not() {
        let limit = Duration::from_millis(1500);
        let silent = sh("echo begun; sleep 60").ends_when_stalled(limit);
        assert_eq!(capture(&silent, None).unwrap().exit, Exit::Stalled);
        // Takes longer than the limit in total.
        let slow =
            "for n in 1 2 3 4 5 6; do sleep 0.5; head -c 200000 /dev/zero; done | cat >/dev/null";
        let exit = capture(&sh(slow).ends_when_stalled(limit), None).unwrap().exit;
        assert_eq!(exit, Exit::Code(0));
    }

    #[test]
    fn a_program_is_ended_with_its_children_after_its_timeout() {
        let marker = format!("86{}", std::process::id());
        let started = Instant::now();
        let exit = capture(
            &sh(&format!("sleep {marker} & sleep {marker}; true")),
            Some(Duration::from_millis(200)),
        );
        assert_eq!(exit.unwrap().exit, Exit::TimedOut);
        assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
        let left =
            capture(&Invocation::new("pgrep").args(["-f", &format!("sleep {marker}")]), None);
        assert_eq!(left.unwrap().stdout_text(), "");
    }
}
