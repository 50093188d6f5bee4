//! Finds the repository and the cache folder.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Finds the folder with flake.nix: the current one or one above it.
pub fn repository_root() -> Result<PathBuf> {
    let here = std::env::current_dir().context("cannot find the current folder")?;
    here.ancestors().find(|dir| dir.join("flake.nix").is_file()).map(Path::to_owned).with_context(
        || {
            format!(
                "no flake.nix in {} or above it; go to your fleet's repository or pass --flake",
                here.display()
            )
        },
    )
}

/// Returns the folder for downloads, the private Nix, logs and smoke models.
/// `$LLAMAFLEET_HOME`, else `$XDG_CACHE_HOME/llamafleet`, else `~/.cache/llamafleet`.
pub fn home() -> Result<PathBuf> {
    let named = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let home = named("LLAMAFLEET_HOME")
        .or_else(|| named("XDG_CACHE_HOME").map(|dir| dir.join("llamafleet")))
        .or_else(|| named("HOME").map(|dir| dir.join(".cache/llamafleet")))
        .context("neither LLAMAFLEET_HOME, XDG_CACHE_HOME nor HOME is set")?;
    if home.is_relative() {
        bail!(
            "{} must be an absolute path (from LLAMAFLEET_HOME or XDG_CACHE_HOME)",
            home.display()
        );
    }
    Ok(home)
}
