//! Derivations in the store: their outputs, and which of some need them.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::nix::derivation_graph;
use crate::nix::names::DrvPath;
use crate::nix::program::Nix;
use crate::nix::store;
use crate::system::process;

/// Whether all outputs of it are there, by a look at the file system: cheap enough for a
/// look at each end of a build. [`store::valid`] knows what is valid. A derivation that cannot
/// be read has no outputs.
pub fn is_built(drv: &DrvPath) -> bool {
    let text = std::fs::read_to_string(drv.as_str()).unwrap_or_default();
    let outputs = derivation_graph::outputs(&text);
    !outputs.is_empty() && outputs.iter().all(store::appeared)
}

/// Which of `roots`, by their place, need each derivation. One call of Nix for all.
pub fn needed_by(nix: &Nix, roots: &[DrvPath]) -> Result<BTreeMap<DrvPath, Vec<usize>>> {
    if roots.is_empty() {
        return Ok(BTreeMap::new());
    }
    #[derive(Deserialize)]
    struct Info {
        #[serde(default)]
        references: Vec<String>,
    }
    let call = nix
        .command(["path-info", "--json", "--recursive", "--offline"])
        .args(roots.iter().map(DrvPath::as_str))
        .for_the_report();
    let printed = process::read(&call, None)?;
    let table: BTreeMap<String, Option<Info>> =
        serde_json::from_str(&printed).with_context(|| format!("`{call}` printed no table"))?;
    let references =
        table.into_iter().filter_map(|(path, info)| Some((path, info?.references))).collect();
    Ok(derivation_graph::needed_by(roots, &references))
}
