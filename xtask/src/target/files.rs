//! Files to and from a target, and closures to its store.

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

/// Of the end of what Nix prints, in which an error is looked for.
const LONGEST_END: usize = 1 << 20;
/// For reading a large model there.
const READING: Duration = Duration::from_secs(3600);
/// A transfer may take any time, but not without moving a byte. At its end the target reads
/// what it got.
const SILENCE: Duration = Duration::from_secs(600);

/// Prints the file's place if it lies there with this checksum. $1 name, $2 checksum.
const FIND: &str = r#"
file="${XDG_CACHE_HOME:-$HOME/.cache}/llamafleet/models/$1"
if [ -f "$file" ] && [ "$(cksum <"$file")" = "$2" ]; then printf '%s\n' "$file"; fi
"#;

/// Takes the file from standard input; it appears whole or not at all. The same words.
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

/// What is at $1, as `FileState::parse` reads it.
const STATE: &str = r#"
if [ -d "$1" ]; then echo folder
elif [ ! -e "$1" ]; then echo missing
elif [ ! -r "$1" ]; then echo unreadable
else printf 'file %s %s\n' "$(($(wc -c <"$1")))" "$(od -An -tx1 -N8 <"$1")"
fi
"#;

impl Target {
    /// Looks at a file that is to be a model.
    ///
    /// # Errors
    /// [`Finding`] where SSH failed; there is no shell.
    pub fn file_state(&self, path: &str) -> Result<FileState> {
        let (exit, printed) = self.read(&["sh", "-c", STATE, "llamafleet", path], SHORT)?;
        // What the login shell prints by itself comes first.
        FileState::parse(printed.stdout.lines().last().unwrap_or_default())
            .with_context(|| format!("cannot inspect {path} on {}: {exit}", self.name()))
    }

    /// Whether anything lies there.
    pub fn has(&self, path: &str) -> Result<bool> {
        Ok(self.file_state(path)? != FileState::Missing)
    }

    /// The beginning of a file there, at most this many bytes.
    ///
    /// # Errors
    /// [`Finding`] where SSH failed; the file cannot be read.
    pub fn first_bytes(&self, path: &str, bytes: u64) -> Result<Vec<u8>> {
        let count = bytes.to_string();
        let argv = ["head", "-c", &count, "--", path];
        let captured = match self {
            Self::Local => process::capture(&local(&argv), Some(READING))?,
            Self::Ssh(ssh) => ssh.capture(&ssh.command(&argv), Some(READING))?,
        };
        if !captured.exit.ok() {
            let (name, exit, why) = (self.name(), captured.exit, captured.stderr_text());
            bail!("cannot read {path} on {name}: {exit}: {}", why.trim());
        }
        Ok(captured.stdout)
    }

    /// Makes a file of ours available there, once, and gives its place there. `room`: the
    /// bytes that are free there, as far as they are known.
    ///
    /// # Errors
    /// [`Finding`] where SSH failed or the target's disk is full; the file cannot be
    /// read or written.
    pub fn put_file(&self, file: &Path, room: Option<u64>) -> Result<String> {
        let Self::Ssh(ssh) = self else {
            return file.to_str().map(str::to_owned).context("the path is not UTF-8");
        };
        let name = file.file_name().and_then(|name| name.to_str());
        let name = name.with_context(|| format!("not a usable file name: {}", file.display()))?;
        let sum = process::read(&Invocation::new("cksum").stdin_file(file), Some(READING))?;

        let find = ssh.command(&["sh", "-c", FIND, "llamafleet", name, &sum]);
        let found = ssh.capture(&find, Some(READING))?;
        // What the login shell prints by itself comes first.
        if let Some(place) = last_line(&found.stdout_text()) {
            return Ok(place);
        }
        let bytes = file.metadata().map_or(0, |meta| meta.len());
        if room.is_some_and(|room| bytes > room) {
            bail!(self.full(name, bytes));
        }
        let put = ssh.command(&["sh", "-c", PUT, "llamafleet", name, &sum]).stdin_file(file);
        let sent = ssh.capture(&put.ends_when_stalled(SILENCE), None)?;
        if sent.exit == Exit::Stalled {
            bail!(ssh::stalled(self.name(), SILENCE));
        }
        let printed = sent.stderr_text();
        if printed.contains("No space left on device") || printed.contains("Disk quota exceeded") {
            bail!(self.full(name, bytes));
        }
        last_line(&sent.stdout_text()).filter(|_| sent.exit.ok()).with_context(|| {
            format!("cannot copy {name} to {}: {}: {}", self.name(), sent.exit, printed.trim())
        })
    }

    fn full(&self, name: &str, bytes: u64) -> Finding {
        let megabytes = bytes.div_ceil(1 << 20);
        Finding::error(
            "target-disk-full",
            format!("{} has no space left for the model {name} ({megabytes} MiB)", self.name()),
            "free some space there, or choose a smaller model with --params or --quantization",
        )
    }

    /// Copies a store path with all it needs to the target's store; nothing to do for
    /// this machine.
    ///
    /// # Errors
    /// [`Finding`] where the target or SSH refuses.
    pub fn copy_closure(
        &self,
        nix: &Nix,
        path: &StorePath,
        on_line: &mut dyn FnMut(Source, &[u8]),
    ) -> Result<()> {
        let Self::Ssh(ssh) = self else { return Ok(()) };
        let call = ssh.copy_command(nix, path)?.ends_when_stalled(SILENCE);
        self.run_nix(&call, on_line, |exit, printed| {
            anyhow!("`{call}`: {exit}\n{}", printed.trim_end())
        })
    }

    /// Builds a derivation of ours in the target's own store, and with its own Nix; nothing
    /// of it comes back. What is sent are derivations and sources, which carry their own
    /// proof and need no signature.
    ///
    /// # Errors
    /// [`Finding`] where the target or SSH refuses, or the build fails.
    pub fn build_there(
        &self,
        nix: &Nix,
        drv: &DrvPath,
        on_line: &mut dyn FnMut(Source, &[u8]),
    ) -> Result<()> {
        let Self::Ssh(ssh) = self else { bail!("not a remote target") };
        let call = ssh.build_command(nix, drv)?;
        self.run_nix(&call, on_line, |exit, printed| {
            let end: Vec<&str> = printed.trim_end().lines().collect();
            let end = end[end.len().saturating_sub(12)..].join("\n");
            let name = self.name();
            anyhow!(Finding::error(
                "not-built",
                format!("{drv} failed to build on {name} ({exit}):\n{end}"),
                format!("run `{call}` to see it again, or omit --build-on to build here"),
            ))
        })
    }

    /// Runs a Nix of ours on the target's store. A failure is the target's or SSH's if its
    /// words are known, otherwise `failure` of what was printed.
    fn run_nix(
        &self,
        call: &Invocation,
        on_line: &mut dyn FnMut(Source, &[u8]),
        failure: impl FnOnce(Exit, &str) -> Error,
    ) -> Result<()> {
        let mut printed = String::new();
        let exit = process::stream(call, None, &mut |source, line| {
            if printed.len() > LONGEST_END {
                let cut = printed.len() - LONGEST_END / 2;
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
            Exit::Stalled => bail!(ssh::stalled(self.name(), SILENCE)),
            exit => Err(match explain_copy(self.name(), &printed) {
                Some(finding) => finding.into(),
                None => failure(exit, &printed),
            }),
        }
    }
}

impl Ssh {
    fn build_command(&self, nix: &Nix, drv: &DrvPath) -> Result<Invocation> {
        let store = store_uri(&self.destination, &self.store);
        let words = ["build", "--no-link", "--print-build-logs", "--eval-store", "auto", "--store"];
        Ok(nix
            .command(words)
            .args([store, drv.all_outputs()])
            .env("NIX_SSHOPTS", self.options_for_nix()?))
    }

    /// Unsigned, as what is built here is: a target that trusts neither us nor our key
    /// says so, and the finding has the remedy.
    pub(crate) fn copy_command(&self, nix: &Nix, path: &StorePath) -> Result<Invocation> {
        let store = store_uri(&self.destination, &self.store);
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
