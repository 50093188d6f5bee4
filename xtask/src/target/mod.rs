//! Targets: the machines on which variants run, local or over SSH.
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

pub use crate::target::connection::Connection;
pub use crate::target::lease::{Lease, LeaseAnswer};

/// Timeout of short commands on a connected target.
const SHORT: Duration = Duration::from_secs(60);
/// The target ends a program this long after its timeout, in case the connection was lost
/// unnoticed.
const GRACE_SECONDS: u64 = 30;
const SUPERVISE: &str = include_str!("supervise.sh");

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    Local,
    Ssh(Ssh),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ssh {
    /// The name for output and reports.
    destination: String,
    /// Its `user@host`.
    address: String,
    /// Options for ssh, such as `-p PORT` or `-F FILE`.
    options: Vec<String>,
    /// Parameters of the target's store, as in `ssh-ng://HOST?NAME=VALUE`. Empty for a machine
    /// with Nix in the default location.
    store: Vec<(String, String)>,
    /// The socket of the shared connection, see [`Target::connect`].
    shared: Option<String>,
}

/// The output of a program on a target. Limited in size, because a target may print without end.
#[derive(Debug, Default)]
pub struct Printed {
    pub stdout: String,
    pub stderr: String,
}

impl Printed {
    /// Maximum size of a stream in bytes. The probe of a machine with a thousand CPUs is shorter.
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
    /// Parses a destination for ssh or a store URI, `ssh-ng://HOST?…`.
    ///
    /// # Errors
    /// A [`Finding`] if the destination is invalid.
    pub fn ssh(destination: &str, options: Vec<String>) -> Result<Self> {
        let parsed = parse_store_uri(destination);
        let (destination, store) = parsed.unwrap_or_else(|| (destination.to_owned(), vec![]));
        if let Some(problem) = destination_problem(&destination) {
            bail!(Finding::error(
                "ssh-destination",
                format!("{destination:?} is not an SSH destination: {problem}"),
                "use `host`, `user@host`, `ssh://user@host:port` or a store, `ssh-ng://host?…`",
            ));
        }
        let (address, port) = ssh::address(&destination);
        // Before the user's options, since ssh uses the first port.
        let port = port.map(|port| ["-p".to_owned(), port.to_string()]);
        let options = port.into_iter().flatten().chain(options).collect();
        Ok(Self::Ssh(Ssh { destination, address, options, store, shared: None }))
    }

    /// Returns the location of a store path on the target's disk.
    pub fn on_disk(&self, path: &str) -> String {
        let Self::Ssh(ssh) = self else { return path.to_owned() };
        let root = ssh.parameter("remote-store").and_then(|store| store.split_once("root="));
        let root = root.and_then(|(_, root)| root.split('&').next()).unwrap_or_default();
        format!("{}{path}", root.trim_end_matches('/'))
    }

    /// Returns the program that Nix starts there to reach the store; empty for this machine.
    pub fn nix_program(&self) -> &str {
        let Self::Ssh(ssh) = self else { return "" };
        ssh.parameter("remote-program").unwrap_or("nix-daemon")
    }

    /// Returns the name for output and reports: `local`, or the destination.
    pub fn name(&self) -> &str {
        match self {
            Self::Local => "local",
            Self::Ssh(ssh) => &ssh.destination,
        }
    }

    /// Whether it is the machine of this name, with its store in the default location.
    pub fn is_machine(&self, name: &str) -> bool {
        match self {
            Self::Local => true,
            Self::Ssh(ssh) => ssh.store.is_empty() && ssh::is_machine(&ssh.destination, name),
        }
    }

    /// Runs a program and returns its output.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn read(&self, argv: &[&str], timeout: Duration) -> Result<(Exit, Printed)> {
        let mut printed = Printed::default();
        let exit = self.run(argv, timeout, &mut |source, line| printed.line(source, line))?;
        Ok((exit, printed))
    }

    /// Runs a program and passes every line to `on_line`. The program is terminated after the
    /// timeout, at the user's interrupt, and if this process is killed. Reports termination by a
    /// signal as such, also over SSH.
    ///
    /// # Errors
    /// A [`Finding`] if SSH fails; an error if there is no such program.
    pub fn run(
        &self,
        argv: &[&str],
        timeout: Duration,
        on_line: &mut dyn FnMut(Source, &[u8]),
    ) -> Result<Exit> {
        let Self::Ssh(ssh) = self else {
            return process::stream(&local(argv), Some(timeout), on_line);
        };
        let limit = (timeout.as_secs() + GRACE_SECONDS).to_string();
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
            // Shells report a signal as 128 plus its number.
            Exit::Code(code @ 129..=192) => Ok(Exit::Signal(code - 128)),
            exit => Ok(exit),
        }
    }
}

impl Ssh {
    /// Returns a parameter of the target's store.
    fn parameter(&self, name: &str) -> Option<&str> {
        self.store.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Returns `ssh … -- DESTINATION COMMAND`, with the command quoted as one argument that the
    /// remote shell splits.
    fn command(&self, argv: &[&str]) -> Invocation {
        Invocation::new("ssh").args(self.ssh_options()).args([
            "--",
            &self.address,
            &ssh::quote(argv),
        ])
    }

    /// Returns options with which ssh never prompts, has timeouts, and ignores a command or
    /// terminal in the user's configuration.
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
        // ssh uses the first value of an option, so the user's options take precedence.
        self.options.iter().cloned().chain(ours).chain(shared).collect()
    }

    /// Runs a short command with little output.
    fn capture(&self, call: &Invocation, timeout: Option<Duration>) -> Result<Captured> {
        let captured = process::capture(call, timeout)?;
        if captured.exit == Exit::Code(ssh::FAILED) {
            bail!(ssh::explain(&self.destination, &captured.stderr_text()));
        }
        Ok(captured)
    }
}

/// Returns the invocation of a local program, `argv[0]`, with its arguments.
fn local(argv: &[&str]) -> Invocation {
    Invocation::new(argv[0]).args(argv[1..].iter().copied())
}

#[cfg(test)]
mod tests;
