//! The run of Nix over all builds, and what the store says afterwards of each.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::{Context as _, Result};

use crate::cmd::build_all::{Limits, nix, present};
use crate::cmd::context::Context;
use crate::domain::build::{Build, BuildState, Tracker, VariantReport};
use crate::domain::names::{DrvPath, StorePath};
use crate::sys::{build_log::BuildLogs, flake, interrupt, store};

/// Builds them all, and says of each what became of it. Nothing is called built that is
/// not valid in the store when Nix has ended.
pub fn build(context: &Context, builds: &[Build], limits: Limits) -> Result<Vec<VariantReport>> {
    let before = present(context, builds)?;
    let (buildable, unsupported): (Vec<&Build>, Vec<&Build>) =
        builds.iter().filter(|build| !before.contains(&build.out)).partition(|build| {
            build.system == flake::system() || context.flake.nix.has_machine_for(&build.system)
        });
    let unsupported: BTreeSet<&StorePath> = unsupported.into_iter().map(|b| &b.out).collect();

    let mut logs = BuildLogs::create(&log_folder(context)?)?;
    let mut seconds = nix::Stopwatch::default();
    let mut tracker = Tracker::default();
    if !buildable.is_empty() {
        nix::run(context, &buildable, limits, &mut tracker, &mut logs, &mut seconds)?;
    }

    let outputs: BTreeSet<StorePath> = builds.iter().map(|build| build.out.clone()).collect();
    let valid = store::valid(&context.flake.nix, &outputs)?;
    Ok(builds
        .iter()
        .map(|build| {
            let state = match valid.contains_key(&build.out) {
                true if before.contains(&build.out) => BuildState::Present,
                true if tracker.was_substituted(&build.out) => BuildState::Substituted,
                true => BuildState::Built,
                false if unsupported.contains(&build.out) => BuildState::Unsupported,
                false if interrupt::requested() => BuildState::Interrupted,
                false if tracker.started(&build.drv) => BuildState::Failed,
                false => BuildState::DependencyFailed,
            };
            let culprit = match state {
                BuildState::Failed => Some(build.drv.clone()),
                BuildState::DependencyFailed => needed_failure(context, &build.drv, &tracker),
                _ => None,
            };
            VariantReport {
                variant: build.variant.clone(),
                hosts: build.hosts.clone(),
                drv_path: build.drv.clone(),
                out_path: valid.contains_key(&build.out).then(|| build.out.clone()),
                state,
                seconds: seconds.of(&build.drv),
                log: logs
                    .file(culprit.as_ref().unwrap_or(&build.drv))
                    .map(|file| file.display().to_string()),
                closure_bytes: valid.get(&build.out).and_then(|info| info.closure_size),
                machine: None,
                attempts: None,
                reason: None,
                first_error: None,
                log_tail: culprit.map(|drv| tracker.tail(&drv)).unwrap_or_default(),
            }
        })
        .collect())
}

/// Of the builds that failed, one that this derivation needs.
fn needed_failure(context: &Context, drv: &DrvPath, tracker: &Tracker) -> Option<DrvPath> {
    let needs = store::needs(&context.flake.nix, drv).ok()?;
    tracker.failed().find(|failed| needs.contains(*failed)).cloned()
}

/// `…/logs/build/2026-11-22T10-00-00`, so that an earlier run's logs stay.
fn log_folder(context: &Context) -> Result<PathBuf> {
    let now =
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).context("clock before 1970")?;
    Ok(context.home.join(format!("logs/build/{}-{}", now.as_secs(), std::process::id())))
}
