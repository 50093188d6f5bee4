//! Starts programs with argument vectors, never through a shell. Each child has its own process
//! group, which ends on Ctrl-C or when its time is up.
//!
//! The rule for all of xtask: programs that stream, can hang, must be killed or run elsewhere are
//! started here, by duct. Short Git commands on the user's repository, with fixed arguments, are
//! started in git.rs, by xshell. Nothing else starts a program.

use std::io::{BufRead, BufReader, PipeWriter, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};
use std::{fmt, thread};

use anyhow::{Context, Result, anyhow, bail};

use crate::system::interrupt::Interrupted;
use crate::system::invocation::Stdin;
use crate::system::running::Running;
use crate::system::termination::Termination;
use crate::system::{orphans, pty};

pub use crate::system::invocation::Invocation;

/// Time limit for reading the output of a child that has exited: a daemon that it started may hold
/// the pipe open.
const DRAIN: Duration = Duration::from_secs(2);
/// Bytes at which longer lines are split, so that no child can fill the memory.
pub const LONGEST_LINE: usize = 1 << 20;
/// Lines that are read but not yet handled, each up to [`LONGEST_LINE`].
const WAITING_LINES: usize = 128;
/// Maximum bytes per stream of a captured program; a closure of 100,000 paths has 30 MiB.
const LARGEST_OUTPUT: usize = 256 << 20;

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Code(i32),
    Signal(i32),
    /// Ended by xtask: its time was up.
    TimedOut,
    /// Ended by xtask: it moved no data, see [`Invocation::ends_when_stalled`].
    Stalled,
    /// Ended by xtask: it exceeded its memory limit.
    TooLarge,
    /// Ended by xtask: the user pressed Ctrl-C.
    Interrupted,
    /// Ended by xtask: the caller needs no more of it.
    GivenUp,
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
            Self::Stalled => write!(f, "stalled: no data moved"),
            Self::TooLarge => write!(f, "out of memory: exceeded its share"),
            Self::Interrupted => write!(f, "interrupted"),
            Self::GivenUp => write!(f, "given up"),
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

/// Runs a program that prints little, and returns all of its output. Ctrl-C ends it.
pub fn capture(invocation: &Invocation, timeout: Option<Duration>) -> Result<Captured> {
    let (mut stdout, mut stderr) = (vec![], vec![]);
    let mut flooded = false;
    let exit = watch(invocation, timeout, &mut |heard| {
        let (source, text, end): (_, _, &[u8]) = match heard {
            Heard::Line(source, line) => (source, line, b"\n"),
            Heard::Part(source, part) => (source, part, b""),
            Heard::Silence => return Then::GoOn,
        };
        let buffer = if source == Source::Stdout { &mut stdout } else { &mut stderr };
        buffer.extend_from_slice(text);
        buffer.extend_from_slice(end);
        flooded |= buffer.len() > LARGEST_OUTPUT;
        if flooded { Then::End } else { Then::GoOn }
    })?;
    match exit {
        Exit::Interrupted => bail!(Interrupted),
        _ if flooded => {
            bail!("`{invocation}` printed more than {} MiB, and was ended", LARGEST_OUTPUT >> 20)
        }
        exit => Ok(Captured { exit, stdout, stderr }),
    }
}

/// Like [`capture`], for a program that must succeed. Returns standard output, trimmed.
///
/// # Errors
/// Name the command and quote the end of its standard error.
pub fn read(invocation: &Invocation, timeout: Option<Duration>) -> Result<String> {
    let captured = capture(invocation, timeout)?;
    if captured.exit.ok() {
        return Ok(captured.stdout_text().trim_end().to_owned());
    }
    let printed = captured.stderr_text();
    let last: Vec<&str> = printed.trim_end().lines().rev().take(8).collect();
    let last: Vec<&str> = last.into_iter().rev().collect();
    Err(anyhow!("{}", last.join("\n")).context(format!("`{invocation}`: {}", captured.exit)))
}

/// Runs a program and passes every line, without its newline, to `on_line`.
/// An idle child costs a wake-up every 50 ms, which is how soon Ctrl-C is passed on.
pub fn stream(
    invocation: &Invocation,
    timeout: Option<Duration>,
    on_line: &mut dyn FnMut(Source, &[u8]),
) -> Result<Exit> {
    watch(invocation, timeout, &mut |heard| {
        if let Heard::Line(source, line) | Heard::Part(source, line) = heard {
            on_line(source, line);
        }
        Then::GoOn
    })
}

/// Like [`stream`]; a line for which `on_line` returns true restarts the child's time.
pub fn stream_paced(
    invocation: &Invocation,
    timeout: Option<Duration>,
    on_line: &mut dyn FnMut(Source, &[u8]) -> bool,
) -> Result<Exit> {
    watch(invocation, timeout, &mut |heard| match heard {
        Heard::Line(source, line) | Heard::Part(source, line) if on_line(source, line) => {
            Then::RestartTime
        }
        _ => Then::GoOn,
    })
}

/// Output of a running child.
#[derive(Debug, Clone, Copy)]
pub enum Heard<'a> {
    Line(Source, &'a [u8]),
    /// The first part of a line longer than [`LONGEST_LINE`]; the rest follows.
    Part(Source, &'a [u8]),
    /// No output for 50 ms.
    Silence,
}

/// What to do with the child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    GoOn,
    /// Restart its time, so that each of its tasks has the same limit.
    RestartTime,
    /// End it: [`Exit::GivenUp`].
    End,
}

/// Like [`stream`], for a caller that decides by the output, or by silence, what to do.
pub fn watch(
    invocation: &Invocation,
    timeout: Option<Duration>,
    on_heard: &mut dyn FnMut(Heard<'_>) -> Then,
) -> Result<Exit> {
    let (stdout, stdout_writer) = std::io::pipe().context("cannot create a pipe")?;
    let (stderr, stderr_writer): (Box<dyn Read + Send>, _) = if invocation.on_terminal {
        let (ours, theirs) = pty::open()?;
        (Box::new(ours), theirs)
    } else {
        let (reader, writer) = std::io::pipe().context("cannot create a pipe")?;
        (Box::new(reader), writer)
    };
    let stdout: Box<dyn Read + Send> = Box::new(stdout);
    let (handle, _held) = start(invocation, stdout_writer, stderr_writer)?;
    let group = handle.pids().first().copied().context("a child without a process id")?;
    let _running = Running::begin(group, invocation);

    let (sender, lines) = mpsc::sync_channel(WAITING_LINES);
    for (source, pipe) in [(Source::Stdout, stdout), (Source::Stderr, stderr)] {
        let sender = sender.clone();
        thread::Builder::new()
            .name(format!("{source:?}"))
            .spawn(move || {
                split_lines(pipe, |line, whole| sender.send((source, line, whole)).is_ok());
            })
            .context("cannot start a reader thread")?;
    }
    drop(sender);

    let mut termination = Termination::new(group, timeout, invocation);
    let mut ended_at: Option<Instant> = None;
    loop {
        let received = lines.recv_timeout(Duration::from_millis(50));
        let heard = match &received {
            Ok((source, line, true)) => Heard::Line(*source, line),
            Ok((source, part, false)) => Heard::Part(*source, part),
            Err(RecvTimeoutError::Timeout) => Heard::Silence,
            Err(RecvTimeoutError::Disconnected) => break,
        };
        match on_heard(heard) {
            Then::GoOn => {}
            Then::RestartTime => termination.restart_time(timeout),
            Then::End => termination.give_up(),
        }
        if matches!(heard, Heard::Silence)
            && handle.try_wait().context("cannot wait for a child")?.is_some()
            && ended_at.get_or_insert_with(Instant::now).elapsed() > DRAIN
        {
            break;
        }
        termination.tick();
    }
    // The pipes may close before the child ends.
    let status = loop {
        if let Some(output) = handle.try_wait().context("cannot wait for a child")? {
            break output.status;
        }
        termination.tick();
        thread::sleep(Duration::from_millis(5));
    };
    Ok(match (termination.cause, status.code(), status.signal()) {
        (Some(cause), ..) => cause,
        (None, Some(code), _) => Exit::Code(code),
        (None, None, signal) => Exit::Signal(signal.unwrap_or_default()),
    })
}

pub(crate) type Handle = duct::Handle;

/// Starts the child. Returns it, and the pipe that must stay open while it runs.
pub(crate) fn start(
    invocation: &Invocation,
    stdout: PipeWriter,
    stderr: PipeWriter,
) -> Result<(Handle, Option<PipeWriter>)> {
    // As a Path, a bare name would be a file in the current folder.
    let mut expression = duct::cmd(invocation.program.as_os_str(), &invocation.args)
        .unchecked()
        .stdout_file(stdout)
        .stderr_file(stderr)
        .before_spawn({
            let ends_with_us = invocation.ends_with_us;
            move |command| {
                command.process_group(0);
                if ends_with_us {
                    orphans::end_with_us(command);
                }
                Ok(())
            }
        });
    let mut stdin = None;
    expression = match &invocation.stdin {
        Stdin::Null => expression.stdin_null(),
        Stdin::File(file) => expression.stdin_path(file),
        Stdin::Held => {
            let (reader, writer) = std::io::pipe().context("cannot create a pipe")?;
            stdin = Some(writer);
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
    Ok((expression.start().with_context(|| format!("cannot start {program}"))?, stdin))
}

/// Splits at `\n` and at [`LONGEST_LINE`], until end of file or until `send` returns false.
fn split_lines(pipe: impl Read, mut send: impl FnMut(Vec<u8>, bool) -> bool) {
    let mut reader = BufReader::with_capacity(1 << 16, pipe);
    loop {
        let mut line = vec![];
        match reader.by_ref().take(LONGEST_LINE as u64).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                let whole = line.last() == Some(&b'\n') || line.len() < LONGEST_LINE;
                line.pop_if(|last| *last == b'\n');
                if !send(line, whole) {
                    return;
                }
            }
        }
    }
}

/// Returns the executable `name` on PATH.
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
    fn both_streams_are_captured_completely() {
        let captured = capture(&sh("echo out; echo err >&2; printf half"), None).unwrap();
        assert_eq!(captured.exit, Exit::Code(0));
        assert_eq!(captured.stdout_text(), "out\nhalf\n");
        assert_eq!(captured.stderr_text(), "err\n");
    }

    #[test]
    fn a_program_that_prints_too_much_is_ended() {
        let began = Instant::now();
        // Endless, and without line breaks, so that it is read fast.
        let error = capture(&Invocation::new("cat").arg("/dev/zero"), None).unwrap_err();
        assert!(error.to_string().contains("printed more than 256 MiB"), "{error}");
        assert!(began.elapsed() < Duration::from_secs(60));
    }

    #[test]
    fn a_long_line_is_captured_in_one_piece() {
        let script = "head -c 3000000 /dev/zero | tr '\\0' x; echo; echo end";
        let text = capture(&sh(script), None).unwrap().stdout_text();
        assert_eq!(text.lines().map(str::len).collect::<Vec<_>>(), [3_000_000, 3]);
    }

    #[test]
    fn on_terminal_only_stderr_is_a_terminal() {
        let asks = "test -t 2 && ! test -t 1 && stty size <&2 >&2 && echo out";
        let captured = capture(&sh(asks).on_terminal(), None).unwrap();
        assert_eq!(captured.stderr_text(), "40 120\r\n");
        assert_eq!(captured.stdout_text(), "out\n");
    }

    #[test]
    fn an_exit_status_and_a_signal_are_distinguished() {
        assert_eq!(capture(&sh("exit 7"), None).unwrap().exit, Exit::Code(7));
        assert_eq!(capture(&sh("kill -ILL $$"), None).unwrap().exit, Exit::Signal(libc::SIGILL));
    }

    #[test]
    fn a_daemon_that_holds_the_pipe_does_not_block() {
        let started = Instant::now();
        let captured = capture(&sh("sleep 30 & echo done"), None).unwrap();
        assert_eq!(captured.stdout_text(), "done\n");
        assert!(started.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn an_error_names_the_missing_program() {
        let error = capture(&Invocation::new("/nonexistent/nix"), None).unwrap_err();
        assert!(format!("{error:#}").contains("/nonexistent/nix"), "{error:#}");
    }
}
