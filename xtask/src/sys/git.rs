//! What Git knows of the repository. Short reads, hence xshell.

use std::path::Path;

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

/// The files that Git tracks and `pattern` matches, relative to `root`.
pub fn tracked(root: &Path, pattern: &str) -> Result<Vec<String>> {
    list(root, &["--cached"], pattern)
}

/// The files that a flake will not see: neither tracked nor ignored.
pub fn untracked(root: &Path, pattern: &str) -> Result<Vec<String>> {
    list(root, &["--others", "--exclude-standard"], pattern)
}

fn list(root: &Path, which: &[&str], pattern: &str) -> Result<Vec<String>> {
    let shell = Shell::new().context("cannot tell the current folder")?;
    shell.change_dir(root);
    let said = cmd!(shell, "git ls-files -z {which...} -- {pattern}")
        .quiet()
        .ignore_stderr()
        .read()
        .with_context(|| format!("`git ls-files` fails in {}", root.display()))?;
    Ok(said.split('\0').filter(|name| !name.is_empty()).map(str::to_owned).collect())
}
