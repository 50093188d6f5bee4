//! What build-all is about to do: what is present, what a cache has, what must be built,
//! and how large all of it is.
//!
//! Pure: no I/O, no clock.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::build::variants::Build;
use crate::nix::names::{DrvPath, HostName, StorePath, VariantName};
use crate::nix::store::Missing;

/// What is to be done for one variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Todo {
    Present,
    Fetch,
    Build,
    /// No machine that Nix has can build for its system.
    Unsupported,
}

/// One row of the plan.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    pub variant: VariantName,
    pub hosts: Vec<HostName>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<String>,
    pub drv_path: DrvPath,
    pub out_path: StorePath,
    pub plan: Todo,
    /// Of what is present; of another, the last one of its name that was built here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closure_bytes: Option<u64>,
    /// How long the last build of its name took here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_seconds: Option<f64>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    pub variants: Vec<Row>,
    /// Derivations that must be built besides the variants themselves.
    pub dependencies: usize,
    pub fetch: Fetch,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fetch {
    pub paths: usize,
    pub download_bytes: u64,
    pub unpacked_bytes: u64,
}

impl Plan {
    pub fn new(builds: &[Build], missing: &Missing, todo: impl Fn(&Build) -> Todo) -> Self {
        let own: BTreeSet<&DrvPath> = builds.iter().map(|build| &build.drv).collect();
        let variants = builds.iter().map(|build| Row {
            variant: build.variant.clone(),
            hosts: build.hosts.clone(),
            packages: build.packages.clone(),
            drv_path: build.drv.clone(),
            out_path: build.out.clone(),
            plan: todo(build),
            closure_bytes: None,
            expected_seconds: None,
        });
        Self {
            variants: variants.collect(),
            dependencies: missing.build.iter().filter(|drv| !own.contains(drv)).count(),
            fetch: Fetch {
                paths: missing.fetch.len(),
                download_bytes: missing.download,
                unpacked_bytes: missing.unpacked,
            },
        }
    }

    pub fn count(&self, todo: Todo) -> usize {
        self.variants.iter().filter(|row| row.plan == todo).count()
    }
}

/// What a run set out to build; on disk while it runs, so that the next one can tell what
/// a kill or a power cut left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unfinished {
    pub variants: BTreeSet<DrvPath>,
    pub derivations: BTreeSet<DrvPath>,
}

impl Unfinished {
    pub fn new(builds: &[Build], missing: &Missing) -> Self {
        Self {
            variants: builds.iter().map(|build| build.drv.clone()).collect(),
            derivations: missing.build.clone(),
        }
    }

    /// How many of its builds are done, and of how many, if `now` sets out for the same;
    /// of another plan nothing can be said.
    pub fn done_of(&self, now: &Self) -> Option<(usize, usize)> {
        let done = self.derivations.difference(&now.derivations).count();
        (self.variants == now.variants && !self.derivations.is_empty())
            .then_some((done, self.derivations.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Printed by Nix 2.26.3.
    const SAID: &str = "these 2 derivations will be built:
  /nix/store/7m8ds0jpzsfq1g4rcavzb53mvvprzyig-yy.drv
  /nix/store/0kn7a2zamlimpj5ziwcl0j3zvpjcar1z-xx.drv
these 3 paths will be fetched (1.50 MiB download, 2.25 GiB unpacked):
  /nix/store/0c9xdvdw2sq1fx4yccrhpj2g0vzxxxxx-hello-2.12
warning: Git tree is dirty
  /nix/store/not-a-path-of-the-list
";

    #[test]
    fn what_nix_says_is_missing_is_read() {
        let missing = Missing::parse(SAID);
        assert_eq!(missing.build.len(), 2);
        assert_eq!(missing.fetch.len(), 1);
        assert_eq!(missing.download, 3 << 19);
        assert_eq!(missing.unpacked, 9 << 28);
        let one = "this path will be fetched (12 KiB download, 1 B unpacked):\n  /nix/store/a\n";
        assert_eq!((Missing::parse(one).download, Missing::parse(one).unpacked), (12 << 10, 1));
        assert_eq!(Missing::parse("nothing"), Missing::default());
    }

    #[test]
    fn a_run_that_was_killed_is_known_again_by_what_it_wanted() {
        let drvs = |names: &[&str]| names.iter().map(|name| DrvPath::new(*name)).collect();
        let before =
            Unfinished { variants: drvs(&["a", "b"]), derivations: drvs(&["a", "b", "c"]) };
        let now = Unfinished { derivations: drvs(&["b"]), ..before.clone() };
        assert_eq!(before.done_of(&now), Some((2, 3)));
        let other = Unfinished { variants: drvs(&["a"]), ..now };
        assert_eq!(before.done_of(&other), None);
    }
}
