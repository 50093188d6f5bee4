//! Keeps a list of a run's builds in a file while it runs. A killed run leaves the file, so that
//! the next run can report how many of its builds are done.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::build::plan::Planned;
use crate::nix::names::DrvPath;
use crate::system::{disk, files};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildList {
    pub variants: BTreeSet<DrvPath>,
    pub derivations: BTreeSet<DrvPath>,
}

impl BuildList {
    pub fn new(Planned { plan, missing, .. }: &Planned) -> Self {
        Self {
            variants: plan.variants.iter().map(|row| row.build.drv.clone()).collect(),
            derivations: missing.build.clone(),
        }
    }

    /// Returns how many of these builds are done and their total, if `now` has the same variants.
    pub fn done_of(&self, now: &Self) -> Option<(usize, usize)> {
        let done = self.derivations.difference(&now.derivations).count();
        (self.variants == now.variants && !self.derivations.is_empty())
            .then_some((done, self.derivations.len()))
    }
}

fn file(home: &Path) -> PathBuf {
    home.join("build-unfinished.json")
}

/// Returns the list that a killed run left, if it can be read.
pub fn left(home: &Path) -> Option<BuildList> {
    serde_json::from_str(&files::read(&file(home)).ok()?).ok()
}

pub fn begin(home: &Path, now: &BuildList) -> Result<()> {
    disk::create(home)?;
    files::write_atomically(&file(home), serde_json::to_string(now)?.as_bytes())
}

pub fn end(home: &Path) -> Result<()> {
    disk::remove(&file(home))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_killed_run_is_resumed_only_with_the_same_variants() {
        let drvs = |names: &[&str]| names.iter().map(|name| DrvPath::new(*name)).collect();
        let before = BuildList { variants: drvs(&["a", "b"]), derivations: drvs(&["a", "b", "c"]) };
        let now = BuildList { derivations: drvs(&["b"]), ..before.clone() };
        assert_eq!(before.done_of(&now), Some((2, 3)));
        let other = BuildList { variants: drvs(&["a"]), ..now };
        assert_eq!(before.done_of(&other), None);
    }
}
