//! Runs `nix build`, and repeats it for builds that failed because of the network or a lost
//! builder (`--retry`), and for builds that were running when Nix was stopped because another one
//! had timed out.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::build::args::Limits;
use crate::build::derivations::{Expected, Stage};
use crate::build::nix_build;
use crate::build::run_state::SharedRun;
use crate::build::tracker::Process;
use crate::build::variants::Build;
use crate::fleet::context::Context;
use crate::nix::names::{DrvPath, StorePath};
use crate::nix::store;
use crate::system::{interrupt, orphans};

/// Seconds before each retry; a builder that restarts needs a minute.
const PAUSES: [u64; 4] = [2, 10, 30, 60];

pub fn run(
    context: &Context,
    wanted: &[&Build],
    limits: &Limits,
    expected: Vec<(DrvPath, Expected)>,
    run: &SharedRun,
) -> Result<()> {
    run.lock().tracker.derivations.add_expected(expected);
    orphans::adopt();
    let mut process = Process::default();
    let mut waiting = wanted.to_vec();
    let is_over = || interrupt::requested() || run.is_cancelled();
    while !waiting.is_empty() && !is_over() {
        let ended = nix_build::run(context, &waiting, limits, run, &mut process)?;
        let mut state = run.lock();
        for build in &waiting {
            let attempts = state.attempts(&build.drv);
            attempts.count += 1;
            attempts.errors.clone_from(&ended.errors);
        }
        drop(state);
        if is_over() || !(ended.with_status || ended.timed_out) {
            break;
        }
        waiting = missing(context, waiting)?;
        let mut state = run.lock();
        // Failures that cannot be explained are not retried.
        let Ok(mut culprits) = state.culprits(context, &waiting) else { break };
        let mut pause = 0;
        waiting.retain(|build| {
            let culprits = culprits.entry(build.drv.clone()).or_default();
            // It was running when Nix was stopped because another build had timed out.
            if ended.timed_out && culprits.is_empty() {
                return true;
            }
            let Some(why) = state.transient(build, culprits) else { return false };
            let retries = &mut state.attempts(&build.drv).retries;
            if *retries >= limits.retry {
                return false;
            }
            pause = pause.max(PAUSES[(PAUSES.len() - 1).min(*retries as usize)]);
            *retries += 1;
            context.ui.warn(format!(
                "{}: retrying in {pause} s ({retries} of {}): {why}",
                build.variant, limits.retry
            ));
            true
        });
        drop(state);
        sleep(Duration::from_secs(pause), is_over);
        let mut state = run.lock();
        for drv in waiting.iter().filter_map(|build| culprits.get(&build.drv)).flatten() {
            let row = state.tracker.derivations.entry(drv);
            if row.stage == Stage::Failed && !is_over() {
                row.stage = Stage::Known;
            }
        }
    }
    Ok(())
}

fn missing<'a>(context: &Context, builds: Vec<&'a Build>) -> Result<Vec<&'a Build>> {
    let outputs: BTreeSet<StorePath> = builds.iter().map(|build| build.out.clone()).collect();
    let valid = store::valid(&context.flake.nix, &outputs)?;
    Ok(builds.into_iter().filter(|build| !valid.contains_key(&build.out)).collect())
}

/// Sleeps for `pause`, or until the run is over.
fn sleep(pause: Duration, is_over: impl Fn() -> bool) {
    let until = Instant::now() + pause;
    while Instant::now() < until && !is_over() {
        thread::sleep(Duration::from_millis(50));
    }
}
