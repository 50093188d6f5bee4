//! Queries derivations in the store: their outputs, and which derivations need them.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::nix::derivation_graph;
use crate::nix::names::DrvPath;
use crate::nix::program::Nix;
use crate::nix::store;
use crate::system::process;

/// Returns whether all outputs exist in the file system: cheap enough for each end of a build.
/// [`store::valid`] asks Nix. A derivation that cannot be read is not built.
pub fn is_built(drv: &DrvPath) -> bool {
    let text = std::fs::read_to_string(drv.as_str()).unwrap_or_default();
    let outputs = derivation_graph::outputs(&text);
    !outputs.is_empty() && outputs.iter().all(store::exists)
}

/// Returns, for each dependency, the indices of the `roots` that need it. Runs Nix once.
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
