//! Reads files on a target, and copies files and closures to it.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Error, Result, anyhow, bail};

use crate::findings::finding::Finding;
use crate::nix::names::{DrvPath, StorePath};
use crate::nix::program::Nix;
use crate::system::interrupt::Interrupted;
use crate::system::process::{self, Exit, Invocation, Source};
use crate::target::model_file::FileState;
use crate::target::ssh::{explain_copy, store_uri};
use crate::target::{SHORT, Ssh, Target, local, ssh};

/// Maximum size in bytes of the end of Nix's output, which is searched for errors.
const OUTPUT_LIMIT: usize = 1 << 20;
/// Timeout for the checksum of a large model.
const READ_TIMEOUT: Duration = Duration::from_secs(3600);
/// Maximum time without data. A transfer has no other timeout. At its end no data moves while the
/// target computes the checksum.
const SILENCE: Duration = Duration::from_secs(600);

/// Script that prints the path of a file with this checksum, if there is one. $1: name, $2:
/// checksum.
const FIND: &str = r#"
file="${XDG_CACHE_HOME:-$HOME/.cache}/llamafleet/models/$1"
if [ -f "$file" ] && [ "$(cksum <"$file")" = "$2" ]; then printf '%s\n' "$file"; fi
"#;

/// Script that writes standard input to the file atomically. Arguments as of [`FIND`].
const PUT: &str = r#"
dir="${XDG_CACHE_HOME:-$HOME/.cache}/llamafleet/models"
mkdir -p -- "$dir" || exit 1
part="$dir/.$1.$$.part"
trap 'rm -f -- "$part"' EXIT
trap 'exit 1' HUP INT TERM PIPE
cat >"$part" || exit 1
if [ "$(cksum <"$part")" != "$2" ]; then echo "it arrived damaged" >&2; exit 1; fi
mv -f -- "$part" "$dir/$1" && printf '%s\n' "$dir/$1"
"#;

/// Script that prints the state of $1, for [`FileState::parse`].
const STATE: &str = r#"
if [ -d "$1" ]; then echo folder
elif [ ! -e "$1" ]; then echo missing
elif [ ! -r "$1" ]; then echo unreadable
else printf 'file %s %s\n' "$(($(wc -c <"$1")))" "$(od -An -tx1 -N8 <"$1")"
fi
"#;

impl Target {
    /// Returns the state of a model file.
    ///
    /// # Errors
    /// The target has no shell. A [`Finding`] if SSH fails.
    pub fn file_state(&self, path: &str) -> Result<FileState> {
        let (exit, printed) = self.read(&["sh", "-c", STATE, "llamafleet", path], SHORT)?;
        // The login shell may print other lines first.
        FileState::parse(printed.stdout.lines().last().unwrap_or_default())
            .with_context(|| format!("cannot inspect {path} on {}: {exit}", self.name()))
    }

    /// Whether the path exists.
    pub fn exists(&self, path: &str) -> Result<bool> {
        Ok(self.file_state(path)? != FileState::Missing)
    }

    /// Returns at most the first `bytes` bytes of a file.
    ///
    /// # Errors
    /// The file cannot be read. A [`Finding`] if SSH fails.
    pub fn first_bytes(&self, path: &str, bytes: u64) -> Result<Vec<u8>> {
        let count = bytes.to_string();
        let argv = ["head", "-c", &count, "--", path];
        let captured = match self {
            Self::Local => process::capture(&local(&argv), Some(READ_TIMEOUT))?,
            Self::Ssh(ssh) => ssh.capture(&ssh.command(&argv), Some(READ_TIMEOUT))?,
        };
        if !captured.exit.ok() {
            let (name, exit, why) = (self.name(), captured.exit, captured.stderr_text());
            bail!("cannot read {path} on {name}: {exit}: {}", why.trim());
        }
        Ok(captured.stdout)
    }

    /// Copies a local file to the target unless it is already there, and returns its path there.
    /// `free_bytes` is the free space on the target, if known.
    ///
    /// # Errors
    /// The file cannot be read or written. A [`Finding`] if SSH fails or the target's disk is full.
    pub fn put_file(&self, file: &Path, free_bytes: Option<u64>) -> Result<String> {
        let Self::Ssh(ssh) = self else {
            return file.to_str().map(str::to_owned).context("the path is not UTF-8");
        };
        let name = file.file_name().and_then(|name| name.to_str());
        let name = name.with_context(|| format!("not a usable file name: {}", file.display()))?;
        let sum = process::read(&Invocation::new("cksum").stdin_file(file), Some(READ_TIMEOUT))?;

        let find = ssh.command(&["sh", "-c", FIND, "llamafleet", name, &sum]);
        let found = ssh.capture(&find, Some(READ_TIMEOUT))?;
        // The login shell may print other lines first.
        if let Some(path) = last_line(&found.stdout_text()) {
            return Ok(path);
        }
        let bytes = file.metadata().map_or(0, |meta| meta.len());
        if free_bytes.is_some_and(|free| bytes > free) {
            bail!(self.disk_full(name, bytes));
        }
        let put = ssh.command(&["sh", "-c", PUT, "llamafleet", name, &sum]).stdin_file(file);
        let sent = ssh.capture(&put.ends_when_stalled(SILENCE), None)?;
        if sent.exit == Exit::Stalled {
            bail!(ssh::stalled(self.name(), SILENCE));
        }
        let printed = sent.stderr_text();
        if printed.contains("No space left on device") || printed.contains("Disk quota exceeded") {
            bail!(self.disk_full(name, bytes));
        }
        last_line(&sent.stdout_text()).filter(|_| sent.exit.ok()).with_context(|| {
            format!("cannot copy {name} to {}: {}: {}", self.name(), sent.exit, printed.trim())
        })
    }

    fn disk_full(&self, name: &str, bytes: u64) -> Finding {
        let megabytes = bytes.div_ceil(1 << 20);
        Finding::error(
            "target-disk-full",
            format!("{} has no space left for the model {name} ({megabytes} MiB)", self.name()),
            "free some space there, or choose a smaller model with --params or --quantization",
        )
    }

    /// Copies the closure of a store path to the target's store. Does nothing for this machine.
    ///
    /// # Errors
    /// Nix fails. A [`Finding`] for a known failure of SSH or the target's store.
    pub fn copy_closure(
        &self,
        nix: &Nix,
        path: &StorePath,
        on_line: &mut dyn FnMut(Source, &[u8]),
    ) -> Result<()> {
        let Self::Ssh(ssh) = self else { return Ok(()) };
        let call = |ssh: &Ssh| Ok(ssh.copy_command(nix, path)?.ends_when_stalled(SILENCE));
        ssh.run_nix(call, on_line, |call, exit, printed| {
            anyhow!("`{call}`: {exit}\n{}", printed.trim_end())
        })
    }

    /// Builds a local derivation in the target's store, with the target's Nix. Sends only
    /// derivations and sources, which are content-addressed and need no signature, and copies
    /// nothing back.
    ///
    /// # Errors
    /// The target is this machine. A [`Finding`] if SSH or the target's store rejects the build, or
    /// the build fails.
    pub fn build_on_target(
        &self,
        nix: &Nix,
        drv: &DrvPath,
        on_line: &mut dyn FnMut(Source, &[u8]),
    ) -> Result<()> {
        let Self::Ssh(ssh) = self else { bail!("not a remote target") };
        let call = |ssh: &Ssh| ssh.build_command(nix, drv);
        ssh.run_nix(call, on_line, |call, exit, printed| {
            let lines: Vec<&str> = printed.trim_end().lines().collect();
            let end = lines[lines.len().saturating_sub(12)..].join("\n");
            let name = self.name();
            anyhow!(Finding::error(
                "not-built",
                format!("{drv} failed to build on {name} ({exit}):\n{end}"),
                format!("run `{call}` to see it again, or omit --build-on to build here"),
            ))
        })
    }
}

impl Ssh {
    /// Runs a local Nix command on the target's store.
    ///
    /// # Errors
    /// A [`Finding`] for a known failure of SSH or the target's store; else `failure` of the
    /// output.
    fn run_nix(
        &self,
        command: impl Fn(&Self) -> Result<Invocation>,
        on_line: &mut dyn FnMut(Source, &[u8]),
        failure: impl FnOnce(&Invocation, Exit, &str) -> Error,
    ) -> Result<()> {
        let call = command(self)?;
        let mut printed = String::new();
        let exit = process::stream(&call, None, &mut |source, line| {
            if printed.len() > OUTPUT_LIMIT {
                let cut = printed.len() - OUTPUT_LIMIT / 2;
                let cut = (cut..).find(|cut| printed.is_char_boundary(*cut)).unwrap_or_default();
                printed.drain(..cut);
            }
            printed.push_str(&String::from_utf8_lossy(line));
            printed.push('\n');
            on_line(source, line);
        })?;
        match exit {
            Exit::Code(0) => Ok(()),
            Exit::Interrupted => bail!(Interrupted),
            Exit::Stalled => bail!(ssh::stalled(&self.destination, SILENCE)),
            // Nix is not prepared for an sshd that refuses it a session on the shared connection
            // (MaxSessions), so that ssh opens another.
            _ if self.shared.is_some() && printed.contains("protocol mismatch, got 'started") => {
                Self { shared: None, ..self.clone() }.run_nix(command, on_line, failure)
            }
            exit => Err(match explain_copy(&self.destination, &printed) {
                Some(finding) => finding.into(),
                None => failure(&call, exit, &printed),
            }),
        }
    }

    fn build_command(&self, nix: &Nix, drv: &DrvPath) -> Result<Invocation> {
        let store = store_uri(&self.address, &self.store);
        let words = ["build", "--no-link", "--print-build-logs", "--eval-store", "auto", "--store"];
        Ok(nix
            .command(words)
            .args([store, drv.all_outputs()])
            .env("NIX_SSHOPTS", self.options_for_nix()?))
    }

    /// Returns the command that copies a closure, without signatures, as local builds have none. If
    /// the target trusts neither this user nor a key, Nix fails and the finding suggests a fix.
    pub(crate) fn copy_command(&self, nix: &Nix, path: &StorePath) -> Result<Invocation> {
        let store = store_uri(&self.address, &self.store);
        Ok(nix
            .command(["copy", "--no-check-sigs", "--substitute-on-destination", "--to", &store])
            .arg(path.as_str())
            .env("NIX_SSHOPTS", self.options_for_nix()?))
    }

    fn options_for_nix(&self) -> Result<String> {
        let options = self.ssh_options();
        if let Some(option) = options.iter().find(|option| option.contains(char::is_whitespace)) {
            bail!(Finding::error(
                "ssh-option",
                format!(
                    "Nix cannot pass the ssh option {option:?}: it splits options at \
                         whitespace"
                ),
                "move the option to ~/.ssh/config",
            ));
        }
        Ok(options.join(" "))
    }
}

fn last_line(text: &str) -> Option<String> {
    text.lines().rfind(|line| !line.trim().is_empty()).map(str::to_owned)
}
