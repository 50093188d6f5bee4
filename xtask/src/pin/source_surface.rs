//! Reads the arguments, backends and options of a llama.cpp revision from its source, which is
//! fetched but not built.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use serde::Deserialize;
use serde_json::Value;

use crate::nix::diagnosis::diagnose;
use crate::nix::names::nix_string;
use crate::nix::program::Nix;
use crate::pin::drift::{self, Surface};
use crate::system::files;
use crate::system::process;

const SURFACE: &str = include_str!("source_surface.nix");
const FETCH_TIMEOUT: Duration = Duration::from_secs(600);

#[derive(Deserialize)]
struct Source {
    path: PathBuf,
    surface: Surface,
}

/// Fetches and reads the source that the `locked` of the input's node in a lock file names.
///
/// # Errors
/// The source cannot be fetched, or one of its Nix files does not parse.
pub fn read(nix: &Nix, locked: &Value) -> Result<Surface> {
    let locked = nix_string(&locked.to_string());
    let expression = format!("({SURFACE}) (builtins.fromJSON {locked})");
    let call = nix.command(["eval", "--json"]).arg("--expr").arg(expression);
    let output = process::capture(&call, Some(FETCH_TIMEOUT))?;
    if !output.exit.ok() {
        let finding = diagnose(&output.stderr_text(), None);
        return Err(anyhow!("{} ({})", finding.message, output.exit));
    }
    let Source { path, mut surface } = serde_json::from_str(&output.stdout_text())
        .context("unexpected output from source_surface.nix")?;
    for file in drift::files() {
        if let Ok(text) = files::read(&path.join(file)) {
            surface.texts.insert(file.to_owned(), text);
        }
    }
    surface.backends = backends(&path.join("ggml/src"));
    Ok(surface)
}

fn backends(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.path().is_dir());
    folders
        .filter_map(|entry| Some(entry.file_name().to_str()?.strip_prefix("ggml-")?.to_owned()))
        .collect()
}
