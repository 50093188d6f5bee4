//! A fleet whose builds are new and have a known length, for measurements of build-all.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::dev::perf::budgets::Length;
use crate::nix::flake;
use crate::system::{disk, files};

/// Creates the folder for a fleet of `count` builds. Call [`renew`] before each use.
pub fn make(home: &Path, count: usize) -> Result<PathBuf> {
    let folder = home.join(format!("perf/{count}-builds"));
    disk::remove(&folder)?;
    disk::create(&folder)?;
    Ok(folder)
}

/// Writes a fleet of `count` hosts, each with its own build. `round` must differ from that of every
/// earlier run, so that all derivations are new.
pub fn renew(folder: &Path, count: usize, length: Length, round: &str) -> Result<()> {
    let flake = include_str!("build_fleet/flake.nix.template")
        .replace("@hosts@", &count.to_string())
        .replace("@system@", &flake::system())
        .replace("@round@", round)
        .replace("@steps@", &length.steps.to_string())
        .replace("@lines@", &length.lines.to_string())
        .replace("@step@", &length.step.script());
    files::write_atomically(&folder.join("flake.nix"), flake.as_bytes())
}
