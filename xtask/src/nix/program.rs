//! Finds the Nix program, checks its version, and prepares its commands.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::system::process::{self, Invocation};

/// The oldest supported version: earlier ones have no `nix flake update INPUT` and no
/// `--reference-lock-file`.
pub const OLDEST: (u32, u32) = (2, 19);

/// A supported Nix program.
#[derive(Debug, Clone)]
pub struct Nix {
    pub program: PathBuf,
    /// Its version as printed, for example `2.26.3`.
    pub version: String,
    /// Options of every command, for example the testbed's `--option sandbox false`.
    pub options: Vec<String>,
}

impl Nix {
    /// Finds Nix on PATH, else the private one that `setup` unpacked.
    ///
    /// # Errors
    /// There is none, it does not run, or it is older than [`OLDEST`].
    pub fn find(home: &std::path::Path) -> Result<Self> {
        let private = home.join("nix/bin/nix");
        let has_private = private.is_file();
        let Some(program) = process::which("nix").or(has_private.then(|| private.clone())) else {
            bail!(
                "this machine has no Nix: run `cargo xtask setup`, which provides one without \
                 touching the system, or install it from nixos.org"
            );
        };
        match Self::at(program) {
            // The Nix on PATH may be too old.
            Err(error) if has_private => Self::at(private).map_err(|_| error),
            nix => nix,
        }
    }

    fn at(program: PathBuf) -> Result<Self> {
        let call = Invocation::new(&program).arg("--version");
        let printed = process::read(&call, Some(Duration::from_secs(20)))
            .with_context(|| format!("{} does not run", program.display()))?;
        let (version, numbers) = parse_version(&printed)
            .with_context(|| format!("`{call}` printed {printed:?} instead of a version"))?;
        if numbers < OLDEST {
            bail!(
                "{} is Nix {version}, too old: {}.{} or newer is needed; `cargo xtask setup` \
                 provides one without touching the system",
                program.display(),
                OLDEST.0,
                OLDEST.1
            );
        }
        Ok(Self { program, version, options: vec![] })
    }

    /// Returns `nix WORDS…` with flakes enabled and the options of every command.
    pub fn command<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> Invocation {
        Invocation::new(&self.program)
            .args(["--extra-experimental-features", "nix-command flakes"])
            .args(words)
            .args(&self.options)
    }
}

/// Parses the output of `nix --version`, such as `nix (Nix) 2.26.3`, `nix (Lix, like Nix) 2.93.0`
/// or `nix (Determinate Nix 3.6.2) 2.29.0`. The last word is the version of the interface.
fn parse_version(printed: &str) -> Option<(String, (u32, u32))> {
    let version = printed.lines().next()?.split_whitespace().last()?;
    let mut numbers = version.split(['.', 'p', '-']);
    let major = numbers.next()?.parse().ok()?;
    let minor = numbers.next()?.chars().take_while(char::is_ascii_digit).collect::<String>();
    Some((version.to_owned(), (major, minor.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_all_implementations_are_parsed() {
        let numbers = |printed: &str| parse_version(printed).map(|(_, numbers)| numbers);
        assert_eq!(numbers("nix (Nix) 2.26.3"), Some((2, 26)));
        assert_eq!(numbers("nix (Nix) 2.8.0"), Some((2, 8)));
        assert_eq!(numbers("nix (Nix) 2.24pre20240723_dirty"), Some((2, 24)));
        assert_eq!(numbers("nix (Lix, like Nix) 2.93.0"), Some((2, 93)));
        assert_eq!(numbers("nix (Determinate Nix 3.6.2) 2.29.0"), Some((2, 29)));
        assert_eq!(numbers("bash: nix: not found"), None);
    }
}
