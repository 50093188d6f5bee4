//! What a run of build-all is about to build, in a file while it runs. A run that was killed
//! leaves the file, so that the next one can report how much of it is done.

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

    /// How many of its builds are done, and of how many, if `now` wants the same variants.
    pub fn done_of(&self, now: &Self) -> Option<(usize, usize)> {
        let done = self.derivations.difference(&now.derivations).count();
        (self.variants == now.variants && !self.derivations.is_empty())
            .then_some((done, self.derivations.len()))
    }
}

fn file(home: &Path) -> PathBuf {
    home.join("build-unfinished.json")
}

/// What the last run left, if it was killed; `None` too where it cannot be read.
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
    fn a_run_that_was_killed_is_known_again_by_what_it_wanted() {
        let drvs = |names: &[&str]| names.iter().map(|name| DrvPath::new(*name)).collect();
        let before = BuildList { variants: drvs(&["a", "b"]), derivations: drvs(&["a", "b", "c"]) };
        let now = BuildList { derivations: drvs(&["b"]), ..before.clone() };
        assert_eq!(before.done_of(&now), Some((2, 3)));
        let other = BuildList { variants: drvs(&["a"]), ..now };
        assert_eq!(before.done_of(&other), None);
    }
}
