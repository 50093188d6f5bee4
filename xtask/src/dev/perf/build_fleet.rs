//! A fleet with new builds of known length, to measure build-all on.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::dev::perf::budgets::Length;
use crate::nix::flake;
use crate::system::{disk, files};

/// Writes `count` hosts, each with another build. Call [`renew`] before each use.
pub fn make(home: &Path, count: usize) -> Result<PathBuf> {
    let folder = home.join(format!("perf/{count}-builds"));
    disk::remove(&folder)?;
    disk::create(&folder)?;
    Ok(folder)
}

/// Makes all derivations new. `round` must differ from that of every earlier run.
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
