//! The lease of a target, over SSH: another bench at the same time, from another machine or
//! on the target, would disturb the measurement.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::system::background::Background;
use crate::system::interrupt;
use crate::target::{SHORT, Target};

const LOCK: &str = include_str!("lock.sh");

/// Lease until it is dropped, or we are killed, or the connection ends.
pub struct Lease(#[expect(dead_code, reason = "its end ends the lock")] Background);

pub enum LeaseAnswer {
    Lease(Box<Lease>),
    /// Who has it, in the words that they gave.
    Busy(String),
    /// A target without flock(1), or without a folder to write to.
    NoLocks,
}

impl Target {
    /// Asks for the lock of the machine; with `waiting`, which is called with who has it, until
    /// it is to be had. This machine's own is [`crate::system::machine_lock`]'s.
    ///
    /// # Errors
    /// There is no ssh; the user interrupts. The target's first
    /// command reports what is wrong with it.
    pub fn lock(&self, words: &str, waiting: Option<&dyn Fn(&str)>) -> Result<LeaseAnswer> {
        let Self::Ssh(ssh) = self else { return Ok(LeaseAnswer::NoLocks) };
        let wait = if waiting.is_some() { "wait" } else { "" };
        let call = ssh.command(&["sh", "-c", LOCK, "llamafleet", words, wait]);
        let session = Background::start(&call.stdin_held().ends_with_us())?;
        let began = Instant::now();
        let mut reported = false;
        loop {
            // Asked first: what it says at its end is read all the same.
            let running = session.is_running();
            let printed = session.printed();
            // What the login shell prints by itself comes first.
            let busy = printed.lines().find_map(|line| line.strip_prefix("busy "));
            if printed.lines().any(|line| line == "locked") {
                return Ok(LeaseAnswer::Lease(Box::new(Lease(session))));
            }
            match (busy, waiting) {
                (Some(who), None) => return Ok(LeaseAnswer::Busy(who.to_owned())),
                (Some(who), Some(waiting)) if !reported => {
                    reported = true;
                    waiting(who);
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
