//! The lease of a target over SSH, which excludes other benchmarks: concurrent runs, from other
//! machines or on the target, would disturb each other.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::system::background::Background;
use crate::system::interrupt;
use crate::target::{SHORT, Target};

const LOCK: &str = include_str!("lock.sh");

/// A lease that ends when it is dropped, with this process, or with the connection.
pub struct Lease(#[expect(dead_code, reason = "dropping it releases the lock")] Background);

pub enum LeaseAnswer {
    Lease(Box<Lease>),
    /// The target is leased, with the description of the holder.
    Busy(String),
    /// The target has no flock(1), or no writable folder.
    NoLocks,
}

impl Target {
    /// Takes the lease of the machine. `description` is shown to others. With `waiting`, calls it
    /// with the holder's description and waits for the lease. For this machine, see
    /// [`crate::system::machine_lock`].
    ///
    /// # Errors
    /// There is no ssh, or the user interrupts. Problems with the target are reported by the first
    /// command that runs there.
    pub fn lock(&self, description: &str, waiting: Option<&dyn Fn(&str)>) -> Result<LeaseAnswer> {
        let Self::Ssh(ssh) = self else { return Ok(LeaseAnswer::NoLocks) };
        let wait = if waiting.is_some() { "wait" } else { "" };
        let call = ssh.command(&["sh", "-c", LOCK, "llamafleet", description, wait]);
        let session = Background::start(&call.stdin_held().ends_with_us())?;
        let began = Instant::now();
        let mut reported = false;
        loop {
            // Before its output, so that the last lines of an ended session are read too.
            let running = session.is_running();
            let printed = session.printed();
            // A login shell may print other lines first.
            let busy = printed.lines().find_map(|line| line.strip_prefix("busy "));
            if printed.lines().any(|line| line == "locked") {
                return Ok(LeaseAnswer::Lease(Box::new(Lease(session))));
            }
            match (busy, waiting) {
                (Some(holder), None) => return Ok(LeaseAnswer::Busy(holder.to_owned())),
                (Some(holder), Some(waiting)) if !reported => {
                    reported = true;
                    waiting(holder);
                }
                _ => {}
            }
            if !running || (!reported && began.elapsed() > SHORT) {
                return Ok(LeaseAnswer::NoLocks);
            }
            interrupt::check()?;
            thread::sleep(Duration::from_millis(5));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::process::{self, Invocation};

    #[test]
    fn the_answer_has_its_own_line_after_an_incomplete_one() {
        let cache = tempfile::tempdir().unwrap();
        let call = Invocation::new("sh")
            .args(["-c", &format!("printf 'Welcome '\n{LOCK}"), "llamafleet", "me"])
            .env("XDG_CACHE_HOME", cache.path());
        let printed = process::capture(&call, Some(SHORT)).unwrap().stdout_text();
        assert!(printed.lines().any(|line| line == "locked"), "{printed}");
    }
}
