//! Derivations in the store: their outputs, and which of some need them.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::nix::derivation_graph;
use crate::nix::names::{DrvPath, StorePath};
use crate::nix::program::Nix;
use crate::system::process;

/// Empty where the file cannot be read.
pub fn outputs(drv: &DrvPath) -> Vec<StorePath> {
    derivation_graph::outputs(&std::fs::read_to_string(drv.as_str()).unwrap_or_default())
}

/// Whether all outputs of it are there, by a look at the file system: cheap enough for a
/// look at each end of a build. [`crate::nix::store::valid`] knows what is valid.
pub fn is_built(outputs: &[StorePath]) -> bool {
    !outputs.is_empty() && outputs.iter().all(|path| Path::new(path.as_str()).exists())
}

/// Which of `roots`, by their place, need each derivation. One call of Nix for all.
pub fn needed_by(nix: &Nix, roots: &[DrvPath]) -> Result<BTreeMap<DrvPath, Vec<usize>>> {
    #[derive(Deserialize)]
    struct Info {
        #[serde(default)]
        references: Vec<String>,
    }
    let call = nix
        .command(["path-info", "--json", "--recursive", "--offline"])
        .args(roots.iter().map(DrvPath::as_str));
    let printed = process::read(&call, None)?;
    let table: BTreeMap<String, Option<Info>> =
        serde_json::from_str(&printed).with_context(|| format!("`{call}` printed no table"))?;
    let references =
        table.into_iter().filter_map(|(path, info)| Some((path, info?.references))).collect();
    Ok(derivation_graph::needed_by(roots, &references))
}
