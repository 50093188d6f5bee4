//! Runs `nix build`, and runs it again: for builds that failed because of the network or a
//! builder (`--retry`), and for those that were still running when Nix had to be stopped
//! because another one had timed out.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::build::args::Limits;
use crate::build::derivations::Expected;
use crate::build::nix_build;
use crate::build::run_state::RunState;
use crate::build::variants::Build;
use crate::fleet::context::Context;
use crate::nix::names::{DrvPath, StorePath};
use crate::nix::store;
use crate::system::{interrupt, orphans};

/// Seconds before each further attempt; a builder that restarts needs a minute.
const PAUSES: [u64; 4] = [2, 10, 30, 60];

pub fn run(
    context: &Context,
    wanted: &[&Build],
    limits: &Limits,
    expected: BTreeMap<DrvPath, Expected>,
) -> Result<RunState> {
    let mut state = RunState::new(context)?;
    state.tracker.derivations.learn(expected);
    orphans::adopt();
    let mut waiting = wanted.to_vec();
    while !waiting.is_empty() {
        state.tracker.begin(&waiting);
        let ended = nix_build::run(context, &waiting, limits, &mut state)?;
        for build in &waiting {
            let attempts = state.attempts(&build.drv);
            attempts.count += 1;
            attempts.errors.clone_from(&ended.errors);
        }
        if interrupt::requested() || !(ended.with_status || ended.timed_out) {
            break;
        }
        waiting = missing(context, waiting)?;
        let mut pause = 0;
        waiting.retain(|build| {
            let culprits = state.culprits(context, build);
            // It was still running when Nix was stopped because of another.
            if ended.timed_out && culprits.is_empty() {
                return true;
            }
            let Some(why) = state.transient(build, &culprits) else { return false };
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
        sleep(Duration::from_secs(pause));
    }
    if let Err(error) = state.logs.take_error() {
        // The builds themselves are safe in the store, and Nix has its own logs.
        context.ui.warn(format!(
            "warning: the build logs are incomplete: {error:#}; `nix log` prints Nix's own"
        ));
    }
    Ok(state)
}

fn missing<'a>(context: &Context, builds: Vec<&'a Build>) -> Result<Vec<&'a Build>> {
    let outputs: BTreeSet<StorePath> = builds.iter().map(|build| build.out.clone()).collect();
    let valid = store::valid(&context.flake.nix, &outputs)?;
    Ok(builds.into_iter().filter(|build| !valid.contains_key(&build.out)).collect())
}

/// Sleeps that long, or until Ctrl-C.
fn sleep(pause: Duration) {
    let until = Instant::now() + pause;
    while Instant::now() < until && !interrupt::requested() {
        thread::sleep(Duration::from_millis(50));
    }
}
