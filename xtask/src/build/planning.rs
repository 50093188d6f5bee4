//! What is in the store before a run, and what is missing.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use crate::build::history;
use crate::build::plan::{Plan, Todo};
use crate::build::variants::{Build, short_name};
use crate::fleet::context::Context;
use crate::nix::flake;
use crate::nix::names::StorePath;
use crate::nix::store::{self, Missing};

/// The plan, and what it was made of.
pub struct Planned {
    pub plan: Plan,
    pub present: BTreeSet<StorePath>,
    pub missing: Missing,
}

pub fn plan(context: &Context, builds: &[Build]) -> Result<Planned> {
    let nix = &context.flake.nix;
    let outputs = builds.iter().map(|build| build.out.clone()).collect();
    let valid = store::valid(nix, &outputs)?;
    let mut can_build: BTreeMap<&str, bool> = BTreeMap::new();
    for build in builds.iter().filter(|build| !valid.contains_key(&build.out)) {
        can_build.entry(&build.system).or_insert_with(|| {
            build.system == flake::system() || nix.has_machine_for(&build.system)
        });
    }
    let buildable = |build: &&Build| can_build.get(build.system.as_str()) == Some(&true);
    let absent = builds.iter().filter(|build| !valid.contains_key(&build.out)).filter(buildable);
    let missing = store::missing(nix, &absent.map(|build| &build.drv).collect::<Vec<_>>())?;
    let mut plan = Plan::new(builds, &missing, |build| match build {
        build if valid.contains_key(&build.out) => Todo::Present,
        build if !buildable(&build) => Todo::Unsupported,
        build if missing.fetch.contains(&build.out) => Todo::Fetch,
        _ => Todo::Build,
    });
    let earlier = history::read(&context.home);
    for row in &mut plan.variants {
        let name = short_name(row.drv_path.as_str());
        match valid.get(&row.out_path) {
            Some(info) => row.closure_bytes = info.closure_size,
            None => {
                let before = earlier.before(name, &row.out_path);
                row.closure_bytes = before.and_then(|before| before.closure_bytes);
                row.expected_seconds =
                    earlier.seconds(name, "").filter(|_| row.plan == Todo::Build);
            }
        }
    }
    Ok(Planned { plan, present: valid.into_keys().collect(), missing })
}
