//! The testbed's lock file: the fleet's own, its inputs replaced by stand-ins.

use std::path::{Path, PathBuf};

use crate::cli::Era;
use crate::sys::nix::Nix;

/// What every Nix call gets in the testbed. Its builds use the machine's own compiler,
/// hence no sandbox; one at a time, because the second variant of a source then finds the
/// first one's objects in ccache.
pub const NIX_OPTIONS: &[&str] = &["--option", "sandbox", "false", "--max-jobs", "1"];

pub fn lock_file(_nix: &Nix, _home: &Path, _root: &Path, _era: Era) -> anyhow::Result<PathBuf> {
    anyhow::bail!("run `cargo xtask setup` first")
}
