//! What is known of a run of Nix, over all its attempts: which builds failed, and why.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use anyhow::{Context as _, Result};

use crate::build::log::BuildLogs;
use crate::build::retry::{self, Failure, Transient};
use crate::build::tracker::Tracker;
use crate::build::variants::Build;
use crate::fleet::context::Context;
use crate::nix::names::DrvPath;
use crate::nix::store;
use crate::system::disk;

pub struct RunState {
    began: Instant,
    pub tracker: Tracker,
    pub logs: BuildLogs,
    attempts: BTreeMap<DrvPath, Attempts>,
}

/// The attempts at one derivation.
#[derive(Debug, Default)]
pub struct Attempts {
    pub count: u32,
    pub retries: u32,
    /// Nix's errors of the last one.
    pub errors: Vec<String>,
    /// Why it was stopped, where it took too long on its builder.
    pub timed_out: Option<String>,
    /// Whether it failed before the user interrupted the run.
    pub failed: bool,
}

impl RunState {
    pub fn new(context: &Context) -> Result<Self> {
        Ok(Self {
            began: Instant::now(),
            tracker: Tracker::default(),
            logs: BuildLogs::create(&log_folder(context)?),
            attempts: BTreeMap::new(),
        })
    }

    /// Seconds since the start of the run.
    pub fn now(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    pub fn attempts(&mut self, drv: &DrvPath) -> &mut Attempts {
        self.attempts.entry(drv.clone()).or_default()
    }

    pub fn attempt_count(&self, drv: &DrvPath) -> u32 {
        self.attempts.get(drv).map_or(0, |attempts| attempts.count)
    }

    pub fn failed_before_interrupt(&self, drvs: &[DrvPath]) -> bool {
        drvs.iter().any(|drv| self.attempts.get(drv).is_some_and(|attempts| attempts.failed))
    }

    /// The derivations whose failure explains why this build is not in the store: itself, or
    /// what it depends on.
    pub fn culprits(&self, context: &Context, build: &Build) -> Vec<DrvPath> {
        let needs = store::needs(&context.flake.nix, &build.drv).unwrap_or_default();
        let timed_out = self.attempts.iter().filter(|(_, attempts)| attempts.timed_out.is_some());
        let failed: BTreeSet<&DrvPath> =
            self.tracker.failed().chain(timed_out.map(|(drv, _)| drv)).collect();
        let mut culprits: Vec<DrvPath> =
            failed.into_iter().filter(|drv| needs.contains(*drv)).cloned().collect();
        // What could not be fetched was never begun.
        if culprits.is_empty() {
            let named = |drv: &&DrvPath| retry::mentions(self.errors(build), drv);
            culprits.extend(needs.iter().find(named).cloned());
        }
        culprits
    }

    fn errors(&self, build: &Build) -> &[String] {
        self.attempts.get(&build.drv).map_or(&[], |attempts| &attempts.errors)
    }

    fn failure<'a>(&'a self, build: &Build, drv: &'a DrvPath, tail: &'a [String]) -> Failure<'a> {
        let machine = Some(self.tracker.machine(drv)).filter(|machine| !machine.is_empty());
        Failure { drv, machine, errors: self.errors(build), tail }
    }

    /// Why another attempt may succeed, if every culprit's failure is transient.
    pub fn transient(&self, build: &Build, culprits: &[DrvPath]) -> Option<String> {
        let own = [build.drv.clone()];
        let mut why = None;
        for drv in if culprits.is_empty() { &own[..] } else { culprits } {
            if self.timed_out(drv).is_some() {
                return None;
            }
            let tail = self.tracker.tail(drv);
            let failure = self.failure(build, drv, &tail);
            let what = match retry::transient(&failure)? {
                Transient::Builder => "a builder was lost",
                Transient::Network => "the network failed",
            };
            why = Some(retry::reason(&failure).unwrap_or_else(|| what.to_owned()));
        }
        why
    }

    /// Why it failed, in one line.
    pub fn reason(&self, build: &Build, culprits: &[DrvPath]) -> Option<String> {
        let drv = culprits.first().unwrap_or(&build.drv);
        if let Some(why) = self.timed_out(drv) {
            return Some(why.to_owned());
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

    fn timed_out(&self, drv: &DrvPath) -> Option<&str> {
        self.attempts.get(drv)?.timed_out.as_deref()
    }
}

/// Which disk is probably full, which Nix does not say. A build writes to TMPDIR, its
/// result to the store; what it wrote has been removed by now.
fn full_disk() -> String {
    let temporary = std::env::temp_dir();
    let fullest = disk::fullest(&[Path::new("/nix/store"), &temporary]);
    fullest.map_or_else(String::new, |(place, bytes)| {
        format!(
            "; no space left on device: {place} has only {} MiB left; free some there \
             (`nix store gc` removes unused store paths)",
            bytes >> 20
        )
    })
}

/// A new folder for each run, so that an earlier run's logs stay.
fn log_folder(context: &Context) -> Result<PathBuf> {
    let now =
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).context("clock before 1970")?;
    Ok(context.home.join(format!("logs/build/{}-{}", now.as_secs(), std::process::id())))
}
