//! Ends a child and its process group, because of Ctrl-C, a timeout, too much memory, or the
//! caller: SIGTERM first, SIGKILL later.

use std::time::{Duration, Instant};

use crate::system::interrupt;
use crate::system::invocation::Invocation;
use crate::system::process::Exit;
use crate::system::resources;

/// When a child's process group must end: SIGTERM, and SIGKILL later.
pub(crate) struct Termination {
    group: u32,
    deadline: Option<Instant>,
    grace: Duration,
    /// As many Ctrl-C as had come before and do not mean this child.
    tolerated: usize,
    memory: Option<u64>,
    weighed_at: Instant,
    asked_at: Option<Instant>,
    killed: bool,
    pub(crate) cause: Option<Exit>,
}

impl Termination {
    pub(crate) fn new(group: u32, timeout: Option<Duration>, invocation: &Invocation) -> Self {
        let now = Instant::now();
        Self {
            group,
            deadline: timeout.map(|timeout| now + timeout),
            grace: invocation.grace,
            tolerated: if invocation.for_the_report { interrupt::count() } else { 0 },
            memory: invocation.memory,
            weighed_at: now,
            asked_at: None,
            killed: false,
            cause: None,
        }
    }

    /// Whoever watches it has seen enough.
    pub(crate) fn give_up(&mut self) {
        self.cause.get_or_insert(Exit::GivenUp);
    }

    pub(crate) fn restart_time(&mut self, timeout: Option<Duration>) {
        self.deadline = timeout.map(|timeout| Instant::now() + timeout);
    }

    /// Looks at most every 20 ms: a child that prints a lot must not be slowed by it.
    fn too_large(&mut self) -> bool {
        let Some(memory) = self.memory else { return false };
        if self.weighed_at.elapsed() < Duration::from_millis(20) {
            return false;
        }
        self.weighed_at = Instant::now();
        // An evaluator works in the first process of its group.
        resources::resident(self.group).is_some_and(|bytes| bytes > memory)
    }

    pub(crate) fn tick(&mut self) {
        if self.cause.is_none() {
            if interrupt::count() > self.tolerated {
                self.cause = Some(Exit::Interrupted);
            } else if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                self.cause = Some(Exit::TimedOut);
            } else if self.too_large() {
                self.cause = Some(Exit::TooLarge);
                // It grows while it is asked.
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
