//! The one place where programs are started: argument vectors, never a shell
//! string; each child in a process group of its own, which ends when its time is
//! up or the user asks.

use std::fmt;
use std::io::{BufRead, BufReader, PipeWriter, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

pub use crate::sys::invocation::Invocation;
use crate::sys::invocation::Stdin;
use crate::sys::{interrupt, terminal};

/// How long the output of a child that has ended is waited for: a daemon that it
/// left behind may hold the pipe open for ever.
const DRAIN: Duration = Duration::from_secs(2);
/// Longer lines are cut here, so that no child can make us hold its whole output.
pub const LONGEST_LINE: usize = 1 << 20;

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Code(i32),
    Signal(i32),
    /// We ended it because its time was up.
    TimedOut,
    /// We ended it because it held more memory than it may.
    TooLarge,
    /// We ended it because the user asked.
    Interrupted,
}

impl Exit {
    pub fn ok(self) -> bool {
        self == Self::Code(0)
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit status {code}"),
            Self::Signal(signal) => write!(f, "killed by signal {signal}"),
            Self::TimedOut => write!(f, "out of time"),
            Self::TooLarge => write!(f, "out of memory: more than its share"),
            Self::Interrupted => write!(f, "interrupted"),
        }
    }
}

#[derive(Debug, Clone)]
pub struct Captured {
    pub exit: Exit,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl Captured {
    pub fn stdout_text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    pub fn stderr_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Stdout,
    Stderr,
}

/// Runs to the end and keeps all it prints; for programs that print little.
pub fn capture(invocation: &Invocation, timeout: Option<Duration>) -> Result<Captured> {
    let (mut stdout, mut stderr) = (vec![], vec![]);
    let exit = stream(invocation, timeout, &mut |source, line| {
        let buffer = if source == Source::Stdout { &mut stdout } else { &mut stderr };
        buffer.extend_from_slice(line);
        buffer.push(b'\n');
    })?;
    Ok(Captured { exit, stdout, stderr })
}

/// Like [`capture`], for what must succeed: standard output, trimmed.
/// Errors name the command and quote the end of what it said.
pub fn read(invocation: &Invocation, timeout: Option<Duration>) -> Result<String> {
    let captured = capture(invocation, timeout)?;
    if captured.exit.ok() {
        return Ok(captured.stdout_text().trim_end().to_owned());
    }
    let said = captured.stderr_text();
    let last: Vec<&str> = said.trim_end().lines().rev().take(8).collect();
    let last: Vec<&str> = last.into_iter().rev().collect();
    Err(anyhow!("{}", last.join("\n")).context(format!("`{invocation}`: {}", captured.exit)))
}

/// Runs to the end and hands every line, without its newline, to `on_line`.
/// An idle child costs a wake-up every 50 ms, which is how soon Ctrl-C is passed on.
pub fn stream(
    invocation: &Invocation,
    timeout: Option<Duration>,
    on_line: &mut dyn FnMut(Source, &[u8]),
) -> Result<Exit> {
    stream_paced(invocation, timeout, &mut |source, line| {
        on_line(source, line);
        false
    })
}

/// Like [`stream`]; a line for which `on_line` says yes starts the child's time anew, so
/// that a child with many things to do has the same time for each.
pub fn stream_paced(
    invocation: &Invocation,
    timeout: Option<Duration>,
    on_line: &mut dyn FnMut(Source, &[u8]) -> bool,
) -> Result<Exit> {
    let (stdout, stdout_writer) = std::io::pipe().context("cannot make a pipe")?;
    let (stderr, stderr_writer): (Box<dyn Read + Send>, _) = if invocation.on_terminal {
        let (ours, theirs) = terminal::open()?;
        (Box::new(ours), theirs)
    } else {
        let (reader, writer) = std::io::pipe().context("cannot make a pipe")?;
        (Box::new(reader), writer)
    };
    let stdout: Box<dyn Read + Send> = Box::new(stdout);
    let (handle, _held) = start(invocation, stdout_writer, stderr_writer)?;
    let group = handle.pids().first().copied().context("a child without a process id")?;

    let (sender, lines) = mpsc::sync_channel(1024);
    for (source, pipe) in [(Source::Stdout, stdout), (Source::Stderr, stderr)] {
        let sender = sender.clone();
        thread::Builder::new()
            .name(format!("{source:?}"))
            .spawn(move || split_lines(pipe, |line| sender.send((source, line)).is_ok()))
            .context("cannot start a reader thread")?;
    }
    drop(sender);

    let mut ending = Ending::new(group, timeout, invocation);
    let mut ended_at: Option<Instant> = None;
    loop {
        match lines.recv_timeout(Duration::from_millis(50)) {
            Ok((source, line)) => {
                if on_line(source, &line) {
                    ending.start_anew(timeout);
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                if handle.try_wait().context("cannot wait for a child")?.is_some() {
                    let since = *ended_at.get_or_insert_with(Instant::now);
                    if since.elapsed() > DRAIN {
                        break;
                    }
                }
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
        ending.tick();
    }
    // The pipes may close before the child ends.
    let status = loop {
        if let Some(output) = handle.try_wait().context("cannot wait for a child")? {
            break output.status;
        }
        ending.tick();
        thread::sleep(Duration::from_millis(5));
    };
    Ok(match (ending.cause, status.code(), status.signal()) {
        (Some(cause), ..) => cause,
        (None, Some(code), _) => Exit::Code(code),
        (None, None, signal) => Exit::Signal(signal.unwrap_or_default()),
    })
}

pub(super) type Handle = duct::Handle;

/// The child, and what must stay open while it runs.
pub(super) fn start(
    invocation: &Invocation,
    stdout: PipeWriter,
    stderr: PipeWriter,
) -> Result<(Handle, Option<PipeWriter>)> {
    // As a Path, a bare name would mean a file of the current folder.
    let mut expression = duct::cmd(invocation.program.as_os_str(), &invocation.args)
        .unchecked()
        .stdout_file(stdout)
        .stderr_file(stderr)
        .before_spawn(|command| {
            command.process_group(0);
            Ok(())
        });
    let mut held = None;
    expression = match &invocation.stdin {
        Stdin::Null => expression.stdin_null(),
        Stdin::File(file) => expression.stdin_path(file),
        Stdin::Held => {
            let (reader, writer) = std::io::pipe().context("cannot make a pipe")?;
            held = Some(writer);
            expression.stdin_file(reader)
        }
    };
    if let Some(dir) = &invocation.dir {
        expression = expression.dir(dir);
    }
    for (name, value) in &invocation.env {
        expression = expression.env(name, value);
    }
    let program = invocation.program.display();
    Ok((expression.start().with_context(|| format!("cannot start {program}"))?, held))
}

/// Decides when a child's process group must end, and ends it: gently, then not.
struct Ending {
    group: u32,
    deadline: Option<Instant>,
    grace: Duration,
    /// As many Ctrl-C as had come before and do not mean this child.
    tolerated: usize,
    memory: Option<u64>,
    weighed_at: Instant,
    asked_at: Option<Instant>,
    killed: bool,
    cause: Option<Exit>,
}

impl Ending {
    fn new(group: u32, timeout: Option<Duration>, invocation: &Invocation) -> Self {
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

    fn start_anew(&mut self, timeout: Option<Duration>) {
        self.deadline = timeout.map(|timeout| Instant::now() + timeout);
    }

    /// Looks at most every 20 ms: a child that prints a lot must not be slowed by it.
    fn too_large(&mut self) -> bool {
        let Some(memory) = self.memory else { return false };
        if self.weighed_at.elapsed() < Duration::from_millis(20) {
            return false;
        }
        self.weighed_at = Instant::now();
        resident(self.group).is_some_and(|bytes| bytes > memory)
    }

    fn tick(&mut self) {
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

/// What the first process of a group holds, in bytes; an evaluator works in one process.
fn resident(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

#[expect(unsafe_code, reason = "std has no way to signal a process group")]
pub(super) fn signal_group(group: u32, signal: libc::c_int) {
    let Ok(group) = libc::pid_t::try_from(group) else { return };
    // SAFETY: kill(2) takes plain integers and touches no memory of ours. An error
    // (the group has ended) is what we wanted.
    unsafe { libc::kill(-group, signal) };
}

/// Splits at `\n`, cuts what is longer than [`LONGEST_LINE`], until EOF or `send` says no.
fn split_lines(pipe: impl Read, mut send: impl FnMut(Vec<u8>) -> bool) {
    let mut reader = BufReader::with_capacity(1 << 16, pipe);
    loop {
        let mut line = vec![];
        match reader.by_ref().take(LONGEST_LINE as u64).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                if line.last() == Some(&b'\n') {
                    line.pop();
                }
                if !send(line) {
                    return;
                }
            }
        }
    }
}

/// Where `name` is on PATH, if it is executable there.
pub fn which(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Invocation {
        Invocation::new("/bin/sh").args(["-c", script])
    }

    #[test]
    fn both_streams_arrive_whole() {
        let captured = capture(&sh("echo out; echo err >&2; printf half"), None).unwrap();
        assert_eq!(captured.exit, Exit::Code(0));
        assert_eq!(captured.stdout_text(), "out\nhalf\n");
        assert_eq!(captured.stderr_text(), "err\n");
    }

    #[test]
    fn a_terminal_is_one_for_the_child() {
        let asks = "test -t 2 && ! test -t 1 && stty size <&2 >&2 && echo out";
        let captured = capture(&sh(asks).on_terminal(), None).unwrap();
        assert_eq!(captured.stderr_text(), "40 120\r\n");
        assert_eq!(captured.stdout_text(), "out\n");
    }

    #[test]
    fn an_exit_status_and_a_signal_are_told_apart() {
        assert_eq!(capture(&sh("exit 7"), None).unwrap().exit, Exit::Code(7));
        assert_eq!(capture(&sh("kill -ILL $$"), None).unwrap().exit, Exit::Signal(libc::SIGILL));
    }

    #[test]
    fn what_outlives_its_time_is_ended_with_its_children() {
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

    #[test]
    fn a_daemon_that_holds_the_pipe_does_not_hold_us() {
        let started = Instant::now();
        let captured = capture(&sh("sleep 30 & echo done"), None).unwrap();
        assert_eq!(captured.stdout_text(), "done\n");
        assert!(started.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = capture(&Invocation::new("/nonexistent/nix"), None).unwrap_err();
        assert!(format!("{error:#}").contains("/nonexistent/nix"), "{error:#}");
    }
}
