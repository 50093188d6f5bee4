//! Targets: where a variant runs, this machine or one behind SSH.
//!
//! Entry points: `Target`, `selection::fleet_target`, `connection`, `lease`.
//!
//! Imports: system, findings, nix, fleet.

pub mod connection;
pub mod files;
pub mod lease;
pub mod model_file;
pub mod selection;
pub mod ssh;
#[cfg(test)]
pub mod sshd;

use std::time::Duration;

use anyhow::{Result, bail};

use crate::findings::finding::Finding;
use crate::system::process::{self, Captured, Exit, Invocation, Source};
use crate::target::ssh::{destination_problem, parse_store_uri};

pub use crate::findings::finding::or_finding;
pub use crate::target::connection::Connection;
pub use crate::target::lease::{Lease, LeaseAnswer};

/// For what takes no time once a connection stands.
const SHORT: Duration = Duration::from_secs(60);
/// How long a program on the target may outlive its time before the target ends it
/// by itself, should the connection have gone without a word.
const SPARE_SECONDS: u64 = 30;
const SUPERVISE: &str = include_str!("supervise.sh");

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    Local,
    Ssh(Ssh),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ssh {
    destination: String,
    /// Words for ssh itself, such as `-F FILE`.
    options: Vec<String>,
    /// Parameters of the target's store, as in `ssh-ng://HOST?NAME=VALUE`; none for a
    /// machine with Nix at its usual place.
    store: Vec<(String, String)>,
    /// The socket of a connection that stands, see [`Target::connect`].
    shared: Option<String>,
}

/// What a program on a target has printed: of each stream only the beginning, because a target may
/// print without end.
#[derive(Debug, Default)]
pub struct Printed {
    pub stdout: String,
    pub stderr: String,
}

impl Printed {
    /// A probe of a thousand processors is shorter.
    const LIMIT: usize = 16 << 20;

    pub fn line(&mut self, source: Source, line: &[u8]) {
        let stream = match source {
            Source::Stdout => &mut self.stdout,
            Source::Stderr => &mut self.stderr,
        };
        if stream.len() < Self::LIMIT {
            stream.push_str(&String::from_utf8_lossy(line));
            stream.push('\n');
        }
    }
}

impl Target {
    /// # Errors
    /// [`Finding`]: this is no destination.
    pub fn ssh(destination: &str, options: Vec<String>) -> Result<Self> {
        let given = parse_store_uri(destination);
        let (destination, store) = given.unwrap_or_else(|| (destination.to_owned(), vec![]));
        let destination = destination.as_str();
        if let Some(problem) = destination_problem(destination) {
            bail!(Finding::error(
                "ssh-destination",
                format!("{destination:?} is not an SSH destination: {problem}"),
                "use `host`, `user@host`, `ssh://user@host:port` or a store, `ssh-ng://host?…`",
            ));
        }
        Ok(Self::Ssh(Ssh { destination: destination.to_owned(), options, store, shared: None }))
    }

    /// Where a store path lies on the target's disk.
    pub fn on_disk(&self, path: &str) -> String {
        let Self::Ssh(ssh) = self else { return path.to_owned() };
        let root = ssh.parameter("remote-store").and_then(|store| store.split_once("root="));
        let root = root.and_then(|(_, root)| root.split('&').next()).unwrap_or_default();
        format!("{}{path}", root.trim_end_matches('/'))
    }

    /// What Nix starts there to reach the store; empty for this machine.
    pub fn nix_program(&self) -> &str {
        let Self::Ssh(ssh) = self else { return "" };
        ssh.parameter("remote-program").unwrap_or("nix-daemon")
    }

    /// For people and reports: `local`, or the destination.
    pub fn name(&self) -> &str {
        match self {
            Self::Local => "local",
            Self::Ssh(ssh) => &ssh.destination,
        }
    }

    /// Whether it is the machine of this name, with a store at its usual place.
    pub fn is_machine(&self, name: &str) -> bool {
        match self {
            Self::Local => true,
            Self::Ssh(ssh) => ssh.store.is_empty() && ssh::is_machine(&ssh.destination, name),
        }
    }

    /// Runs a program there to its end, and returns what it printed.
    ///
    /// # Errors
    /// Those of [`Self::run`].
    pub fn read(&self, argv: &[&str], timeout: Duration) -> Result<(Exit, Printed)> {
        let mut printed = Printed::default();
        let exit = self.run(argv, timeout, &mut |source, line| printed.line(source, line))?;
        Ok((exit, printed))
    }

    /// Runs a program there to its end, and hands every line to `on_line`. It ends
    /// when its time is up, when the user asks, and when we are killed. A signal that
    /// ended it is reported as one, also over SSH.
    ///
    /// # Errors
    /// [`Finding`] where SSH failed; no such program.
    pub fn run(
        &self,
        argv: &[&str],
        timeout: Duration,
        on_line: &mut dyn FnMut(Source, &[u8]),
    ) -> Result<Exit> {
        let Self::Ssh(ssh) = self else {
            return process::stream(&local(argv), Some(timeout), on_line);
        };
        let limit = (timeout.as_secs() + SPARE_SECONDS).to_string();
        let supervised = [&["sh", "-c", SUPERVISE, "llamafleet", &limit], argv].concat();
        let call = ssh.command(&supervised).stdin_held();
        let mut printed = Printed::default();
        let exit = process::stream(&call, Some(timeout), &mut |source, line| {
            if source == Source::Stderr {
                printed.line(source, line);
            }
            on_line(source, line);
        })?;
        match exit {
            Exit::Code(ssh::FAILED) => bail!(ssh::explain(&ssh.destination, &printed.stderr)),
            // As shells report it: 128 and the signal's number.
            Exit::Code(code @ 129..=192) => Ok(Exit::Signal(code - 128)),
            exit => Ok(exit),
        }
    }
}

impl Ssh {
    /// A parameter of the target's store.
    fn parameter(&self, name: &str) -> Option<&str> {
        self.store.iter().find(|(its, _)| its == name).map(|(_, value)| value.as_str())
    }

    /// `ssh … -- DESTINATION COMMAND`, the command as one word that the shell there
    /// splits again.
    fn command(&self, argv: &[&str]) -> Invocation {
        Invocation::new("ssh").args(self.ssh_options()).args([
            "--",
            &self.destination,
            &ssh::quote(argv),
        ])
    }

    /// Asks for nothing, gives up in time, and takes no command or terminal from the
    /// user's configuration.
    fn ssh_options(&self) -> Vec<String> {
        let ours = [
            "BatchMode=yes",
            "ConnectTimeout=10",
            "ServerAliveInterval=15",
            "ServerAliveCountMax=4",
            "RequestTTY=no",
            "RemoteCommand=none",
        ];
        let ours = ours.iter().flat_map(|option| ["-o".to_owned(), (*option).to_owned()]);
        let shared = self.shared.iter().flat_map(|socket| {
            let path = format!("ControlPath={socket}");
            ["-o".to_owned(), path, "-o".to_owned(), "ControlMaster=no".to_owned()]
        });
        // ssh takes the first value it sees: the user's options win.
        self.options.iter().cloned().chain(ours).chain(shared).collect()
    }

    /// Runs what says little and ends soon.
    fn capture(&self, call: &Invocation, timeout: Option<Duration>) -> Result<Captured> {
        let captured = process::capture(call, timeout)?;
        if captured.exit == Exit::Code(ssh::FAILED) {
            bail!(ssh::explain(&self.destination, &captured.stderr_text()));
        }
        Ok(captured)
    }
}

/// A program of this machine, which comes first, with its arguments.
fn local(argv: &[&str]) -> Invocation {
    Invocation::new(argv[0]).args(argv[1..].iter().copied())
}

#[cfg(test)]
mod tests;
