//! A program, its arguments and its limits, as a value that tests can inspect.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Where a child's standard input comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stdin {
    Null,
    File(PathBuf),
    Held,
}

/// Time between SIGTERM and SIGKILL. Nix needs a moment to end its builders.
const GRACE: Duration = Duration::from_secs(10);

/// A program with its arguments, environment and limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<OsString>,
    pub(crate) env: Vec<(OsString, OsString)>,
    pub(crate) dir: Option<PathBuf>,
    pub(crate) stdin: Stdin,
    pub(crate) grace: Duration,
    pub(crate) memory: Option<u64>,
    pub(crate) stalled_after: Option<Duration>,
    pub(crate) for_the_report: bool,
    pub(crate) on_terminal: bool,
    pub(crate) ends_with_us: bool,
}

impl Invocation {
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            args: vec![],
            env: vec![],
            dir: None,
            stdin: Stdin::Null,
            grace: GRACE,
            memory: None,
            stalled_after: None,
            for_the_report: false,
            on_terminal: false,
            ends_with_us: false,
        }
    }

    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    pub fn args<S: Into<OsString>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// Sets the time between SIGTERM and SIGKILL. An evaluating Nix has nothing to clean up and
    /// rarely checks for SIGTERM.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Lets Ctrl-C not end it, for a short query that the report needs. The last Ctrl-C ends xtask.
    pub fn for_the_report(mut self) -> Self {
        self.for_the_report = true;
        self
    }

    /// Gives the program a terminal as standard error, so that it draws its progress.
    pub fn on_terminal(mut self) -> Self {
        self.on_terminal = true;
        self
    }

    /// Sends it SIGTERM if xtask is killed.
    pub fn ends_with_us(mut self) -> Self {
        self.ends_with_us = true;
        self
    }

    /// Ends it when it uses more than this many bytes of memory.
    pub fn memory(mut self, bytes: u64) -> Self {
        self.memory = Some(bytes);
        self
    }

    /// Ends it when it and its children have moved almost no data for this long.
    pub fn ends_when_stalled(mut self, after: Duration) -> Self {
        self.stalled_after = Some(after);
        self
    }

    pub fn stdin_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.stdin = Stdin::File(file.into());
        self
    }

    /// Keeps standard input open while xtask runs: end of file shows the child that xtask has
    /// exited.
    pub fn stdin_held(mut self) -> Self {
        self.stdin = Stdin::Held;
        self
    }
}

/// Formats it as a person would type it, for messages and logs only.
impl fmt::Display for Invocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", quoted(self.program.as_os_str()))?;
        self.args.iter().try_for_each(|arg| write!(f, " {}", quoted(arg)))
    }
}

fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=+,@%^#".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_printed_in_a_form_that_a_shell_accepts() {
        let shown = Invocation::new("nix").args(["eval", ".#a", "--apply", "x: it's"]).to_string();
        assert_eq!(shown, r"nix eval .#a --apply 'x: it'\''s'");
    }
}
