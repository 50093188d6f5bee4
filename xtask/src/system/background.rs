//! A child that runs beside us until it is dropped.

use std::io::Read;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::system::process::{self, Invocation};
use crate::system::termination;

/// Time limit for reading the output of a child that has exited: a grandchild may hold the pipe
/// open.
const DRAIN: Duration = Duration::from_secs(2);
/// Bytes of output that are kept; the rest is read and dropped.
const LIMIT: usize = 1 << 20;
/// Time between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(3);

/// A running child. Dropping it ends the whole process group.
pub struct Background {
    handle: process::Handle,
    group: u32,
    printed: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
    _input: Option<std::io::PipeWriter>,
}

impl Background {
    pub fn start(invocation: &Invocation) -> Result<Self> {
        let (mut reader, writer) = std::io::pipe().context("cannot create a pipe")?;
        let second = writer.try_clone().context("cannot share a pipe")?;
        let (handle, input) = process::start(invocation, writer, second)?;
        let group = handle.pids().first().copied().context("a child without a process id")?;
        let printed = Arc::new(Mutex::new(vec![]));
        let sink = Arc::clone(&printed);
        let reader = thread::Builder::new()
            .name("background".into())
            .spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(count @ 1..) = reader.read(&mut buffer) {
                    if let Ok(mut sink) = sink.lock()
                        && sink.len() < LIMIT
                    {
                        sink.extend_from_slice(&buffer[..count]);
                    }
                }
            })
            .context("cannot start a reader thread")?;
        Ok(Self { handle, group, printed, reader, _input: input })
    }

    pub fn is_running(&self) -> bool {
        self.handle.try_wait().is_ok_and(|ended| ended.is_none())
    }

    /// Returns what the child has printed so far, on both streams; after it has exited, all of it,
    /// including what is still in the pipe.
    pub fn printed(&self) -> String {
        if !self.is_running() {
            let began = Instant::now();
            while !self.reader.is_finished() && began.elapsed() < DRAIN {
                thread::sleep(Duration::from_millis(1));
            }
        }
        self.printed
            .lock()
            .map(|printed| String::from_utf8_lossy(&printed).into_owned())
            .unwrap_or_default()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        termination::signal_group(self.group, libc::SIGTERM);
        let asked = Instant::now();
        while self.is_running() {
            if asked.elapsed() > GRACE {
                termination::signal_group(self.group, libc::SIGKILL);
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropping_it_ends_the_program_and_its_children() {
        let marker = format!("87{}", std::process::id());
        let script = format!("echo ready; sleep {marker} & wait");
        let child = Background::start(&Invocation::new("/bin/sh").args(["-c", &script])).unwrap();
        while child.printed() != "ready\n" {
            thread::sleep(Duration::from_millis(5));
        }
        assert!(child.is_running());
        drop(child);
        let left = Invocation::new("pgrep").args(["-f", &format!("sleep {marker}")]);
        // The signal reaches the whole group at once, but each process needs some time to end.
        let began = Instant::now();
        while !process::capture(&left, None).unwrap().stdout.is_empty() {
            assert!(began.elapsed() < Duration::from_secs(20), "a child still runs");
            thread::sleep(Duration::from_millis(20));
        }
    }

    #[test]
    fn the_output_of_a_program_that_ended_is_complete() {
        for _ in 0..50 {
            let child = Background::start(&Invocation::new("echo").arg("gone")).unwrap();
            while child.is_running() {}
            assert_eq!(child.printed(), "gone\n");
        }
    }

    #[test]
    fn excess_output_is_read_and_dropped() {
        let flood = ["-c", "head -c 9000000 /dev/zero | tr '\\0' x"];
        let child = Background::start(&Invocation::new("/bin/sh").args(flood)).unwrap();
        while child.is_running() {
            thread::sleep(Duration::from_millis(5));
        }
        assert!((LIMIT..LIMIT + 8192).contains(&child.printed().len()));
    }

    #[test]
    fn a_program_that_ended_is_not_running() {
        let child = Background::start(&Invocation::new("true")).unwrap();
        let began = Instant::now();
        while child.is_running() && began.elapsed() < Duration::from_secs(10) {
            thread::sleep(Duration::from_millis(5));
        }
        assert!(!child.is_running());
    }
}
