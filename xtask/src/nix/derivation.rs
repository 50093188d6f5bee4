//! Queries derivations in the store: their outputs, and which derivations need them.

use anyhow::Result;
use serde_json::Value;

use crate::nix::derivation_graph;
use crate::nix::names::DrvPath;
use crate::nix::program::Nix;
use crate::nix::store;

/// Returns whether all outputs exist in the file system: cheap enough for each end of a build.
/// [`store::valid`] asks Nix. A derivation that cannot be read is not built.
pub fn is_built(drv: &DrvPath) -> bool {
    let text = std::fs::read_to_string(drv.as_str()).unwrap_or_default();
    let outputs = derivation_graph::outputs(&text);
    !outputs.is_empty() && outputs.iter().all(store::exists)
}

/// Returns, for each dependency, the indices of the `roots` that need it. Runs Nix once.
pub fn needed_by(nix: &Nix, roots: &[DrvPath]) -> Result<Vec<(DrvPath, Vec<usize>)>> {
    if roots.is_empty() {
        return Ok(vec![]);
    }
    let paths: Vec<&str> = roots.iter().map(DrvPath::as_str).collect();
    let references = |info: &Value| {
        let references = info["references"].as_array().into_iter().flatten();
        references.filter_map(|path| path.as_str().map(str::to_owned)).collect()
    };
    let closure = store::closure_info(nix, &paths)?;
    let closure = closure.iter().map(|(path, info)| (path.to_string(), references(info)));
    Ok(derivation_graph::needed_by(roots, &closure.collect()))
}
