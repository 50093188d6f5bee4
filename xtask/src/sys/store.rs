//! Questions to the Nix store: what is valid in it, and how large.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::domain::names::{DrvPath, StorePath};
use crate::sys::nix::Nix;
use crate::sys::process;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PathInfo {
    #[serde(default)]
    pub closure_size: Option<u64>,
}

/// Which of these paths are valid, with the size of their closure in bytes.
pub fn valid(nix: &Nix, paths: &BTreeSet<StorePath>) -> Result<BTreeMap<StorePath, PathInfo>> {
    if paths.is_empty() {
        return Ok(BTreeMap::new());
    }
    let call = nix
        .command(["path-info", "--json", "--closure-size", "--offline"])
        .args(paths.iter().map(StorePath::as_str))
        .for_the_report();
    let answer = nix.capture(&call, None)?;
    // Nix prints `null` for what is not valid; some versions then also exit with 1.
    let table: BTreeMap<StorePath, Option<PathInfo>> = serde_json::from_slice(&answer.stdout)
        .with_context(|| {
            format!(
                "`{call}` ({}) printed no table of paths: {}",
                answer.exit,
                answer.stderr_text()
            )
        })?;
    Ok(table.into_iter().filter_map(|(path, info)| Some((path, info?))).collect())
}

/// Every derivation that this one needs, itself included.
pub fn needs(nix: &Nix, drv: &DrvPath) -> Result<BTreeSet<DrvPath>> {
    let call =
        nix.command(["path-info", "--recursive", "--offline"]).arg(drv.as_str()).for_the_report();
    let paths = process::read(&call, None)?;
    Ok(paths.lines().filter(|path| path.ends_with(".drv")).map(DrvPath::new).collect())
}

/// Whether the output is there, by a look at the file system: cheap enough for every event
/// of a build, and good enough to stop its clock. What is valid, [`valid`] tells.
pub fn appeared(path: &StorePath) -> bool {
    std::path::Path::new(path.as_str()).exists()
}
