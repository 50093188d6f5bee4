//! The formatter and the dead-code lint for Nix, as crates: no Nixpkgs is needed for them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::system::process::{self, Invocation};

/// nixfmt, the official style, in its Rust implementation.
pub fn nixfmt(home: &Path) -> Result<PathBuf> {
    tool(home, "nixfmt", "nixfmt_rs", "0.5.3")
}

pub fn deadnix(home: &Path) -> Result<PathBuf> {
    tool(home, "deadnix", "deadnix", "1.3.1")
}

/// The version is fixed: another one may format differently, and CI would fail on a day
/// when nothing changed. A folder for each version, so that an old clone keeps its own.
fn tool(home: &Path, name: &str, package: &str, version: &str) -> Result<PathBuf> {
    let root = home.join(format!("tools/{package}-{version}"));
    let program = root.join("bin").join(name);
    if !program.is_file() {
        let call = Invocation::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(["install", "--quiet", "--locked", package, "--version", version, "--root"])
            .arg(&root);
        process::read(&call, None).with_context(|| format!("{name} cannot be installed"))?;
    }
    Ok(program)
}
