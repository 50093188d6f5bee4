//! Nix is asked to build; and asked again for what may be there the next time: a build
//! that its network or its builder failed (`--retry`), and what was under way beside a
//! build that had to be given up by ending Nix.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::build::command::Limits;
use crate::build::follow::Stopwatch;
use crate::build::log::BuildLogs;
use crate::build::nix_build;
use crate::build::progress::Expected;
use crate::build::retry::{self, Failure, Passing};
use crate::build::run::log_folder;
use crate::build::tracker::Tracker;
use crate::build::variants::Build;
use crate::fleet::context::Context;
use crate::nix::names::{DrvPath, StorePath};
use crate::nix::store;
use crate::system::{disk, interrupt, orphans};

/// Before each further attempt; a builder that starts anew needs a minute.
const PAUSES: [Duration; 4] = [
    Duration::from_secs(2),
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_secs(60),
];

/// All that was seen while Nix ran, of every attempt.
pub struct Ran {
    pub tracker: Tracker,
    pub logs: BuildLogs,
    pub seconds: Stopwatch,
    /// How often Nix was asked for each.
    pub attempts: BTreeMap<DrvPath, u32>,
    /// What Nix said of its last attempt at each.
    errors: BTreeMap<DrvPath, Vec<String>>,
    /// What had its time on a builder, and was ended by us.
    given_up: BTreeMap<DrvPath, String>,
}

/// Of one build that is not in the store: which derivations it needs failed, itself perhaps.
pub struct Blame {
    pub culprits: Vec<DrvPath>,
}

pub fn run(
    context: &Context,
    wanted: &[&Build],
    limits: &Limits,
    expected: &BTreeMap<DrvPath, Expected>,
) -> Result<Ran> {
    let mut ran = Ran {
        tracker: Tracker::default(),
        logs: BuildLogs::create(&log_folder(context)?),
        seconds: Stopwatch::default(),
        attempts: BTreeMap::new(),
        errors: BTreeMap::new(),
        given_up: BTreeMap::new(),
    };
    orphans::adopt();
    let mut waiting = wanted.to_vec();
    let mut retried: BTreeMap<DrvPath, u32> = BTreeMap::new();
    while !waiting.is_empty() {
        ran.tracker.start_anew();
        let ended = nix_build::run(context, &waiting, limits, expected.clone(), &mut ran)?;
        for build in &waiting {
            *ran.attempts.entry(build.drv.clone()).or_default() += 1;
            ran.errors.insert(build.drv.clone(), ended.errors.clone());
        }
        if let Some((drv, why)) = &ended.given_up {
            ran.given_up.insert(drv.clone(), why.clone());
        }
        if interrupt::requested() || !(ended.by_itself || ended.given_up.is_some()) {
            break;
        }
        waiting = missing(context, waiting)?;
        let mut pause = Duration::ZERO;
        waiting.retain(|build| {
            let blame = ran.blame(context, build);
            // It was under way when Nix was ended for another's sake.
            if ended.given_up.is_some() && blame.culprits.is_empty() {
                return true;
            }
            let times = retried.entry(build.drv.clone()).or_default();
            let Some(why) = ran.passing(build, &blame).filter(|_| *times < limits.retry) else {
                return false;
            };
            let last = PAUSES.len() - 1;
            pause = pause.max(PAUSES[last.min(*times as usize)]);
            *times += 1;
            context.ui.complain(format!(
                "{}: again in {} s ({times} of {}): {why}",
                build.variant,
                pause.as_secs(),
                limits.retry
            ));
            true
        });
        rest(pause);
    }
    if let Err(error) = ran.logs.trouble() {
        // The builds themselves are safe in the store, and Nix keeps logs of its own.
        context.ui.complain(format!(
            "warning: the build logs are not whole: {error:#}; `nix log` has Nix's own"
        ));
    }
    Ok(ran)
}

impl Ran {
    pub fn blame(&self, context: &Context, build: &Build) -> Blame {
        let needs = store::needs(&context.flake.nix, &build.drv).unwrap_or_default();
        let failed: BTreeSet<&DrvPath> =
            self.tracker.failed().chain(self.given_up.keys()).collect();
        let mut culprits: Vec<DrvPath> =
            failed.into_iter().filter(|drv| needs.contains(*drv)).cloned().collect();
        // What could not be fetched was never begun.
        if culprits.is_empty() {
            let errors = self.errors.get(&build.drv).map(Vec::as_slice).unwrap_or_default();
            let named = |drv: &&DrvPath| retry::speaks_of(errors, drv);
            culprits.extend(needs.iter().find(named).cloned());
        }
        Blame { culprits }
    }

    fn failure<'a>(&'a self, build: &Build, drv: &'a DrvPath, tail: &'a [String]) -> Failure<'a> {
        let errors = self.errors.get(&build.drv).map(Vec::as_slice).unwrap_or_default();
        let machine = Some(self.tracker.machine(drv)).filter(|machine| !machine.is_empty());
        Failure { drv, machine, errors, tail }
    }

    /// Why it may be there the next time, if all that it failed for may pass.
    fn passing(&self, build: &Build, blame: &Blame) -> Option<String> {
        let own = [build.drv.clone()];
        let culprits = if blame.culprits.is_empty() { &own[..] } else { &blame.culprits[..] };
        let mut why = None;
        for drv in culprits {
            if self.given_up.contains_key(drv) {
                return None;
            }
            let tail = self.tracker.tail(drv);
            let failure = self.failure(build, drv, &tail);
            let what = match retry::passing(&failure)? {
                Passing::Builder => "a builder was lost",
                Passing::Network => "the network failed",
            };
            why = Some(retry::reason(&failure).unwrap_or_else(|| what.to_owned()));
        }
        why
    }

    /// Why it is not there, for a person.
    pub fn reason(&self, build: &Build, blame: &Blame) -> Option<String> {
        let drv = blame.culprits.first().unwrap_or(&build.drv);
        if let Some(why) = self.given_up.get(drv) {
            return Some(why.clone());
        }
        let tail = self.tracker.tail(drv);
        let mut reason = retry::reason(&self.failure(build, drv, &tail))?;
        let full = |text: &str| text.contains("No space left on device");
        let here = self.tracker.machine(drv).is_empty();
        if here && (full(&reason) || tail.iter().any(|line| full(line))) {
            reason.push_str(&full_disk());
        }
        Some(reason)
    }
}

/// Nix says that a disk is full, and not which. A build writes below TMPDIR, its result to
/// the store; what it wrote is gone when this is asked.
fn full_disk() -> String {
    let temporary = std::env::temp_dir();
    let Some((place, bytes)) = disk::fullest(&[Path::new("/nix/store"), &temporary]) else {
        return String::new();
    };
    format!(
        "; no space left on device: of what a build writes to, {place} has the least room, {} MiB; \
         free some there (`nix store gc` removes what nothing needs)",
        bytes >> 20
    )
}

fn missing<'a>(context: &Context, builds: Vec<&'a Build>) -> Result<Vec<&'a Build>> {
    let outputs: BTreeSet<StorePath> = builds.iter().map(|build| build.out.clone()).collect();
    let valid = store::valid(&context.flake.nix, &outputs)?;
    Ok(builds.into_iter().filter(|build| !valid.contains_key(&build.out)).collect())
}

/// Until then, or until Ctrl-C.
fn rest(pause: Duration) {
    let until = Instant::now() + pause;
    while Instant::now() < until && !interrupt::requested() {
        thread::sleep(Duration::from_millis(50));
    }
}
