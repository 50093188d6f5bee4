//! What is known of a run of Nix, over all its attempts: which builds failed, and why.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use anyhow::{Context as _, Result};

use crate::build::derivations::{Attempts, Derivation, Stage};
use crate::build::log::BuildLogs;
use crate::build::retry::{self, Failure, Transient};
use crate::build::tracker::{Process, Tracker};
use crate::build::variants::Build;
use crate::build::view::Progress;
use crate::fleet::context::Context;
use crate::nix::derivation;
use crate::nix::names::DrvPath;
use crate::system::disk;
use crate::ui::Ui;

/// What failed, for each build.
pub type Culprits = BTreeMap<DrvPath, Vec<DrvPath>>;

pub struct RunState {
    /// When the first `nix build` was started.
    began: Option<Instant>,
    pub tracker: Tracker,
    pub logs: BuildLogs,
    /// `None`: no `nix build` runs.
    pub progress: Option<Progress>,
    running: usize,
}

/// What is known of a run, for the threads that each wait for a `nix build`.
pub struct SharedRun {
    state: Mutex<RunState>,
    cancelled: AtomicBool,
}

impl SharedRun {
    pub fn new(context: &Context) -> Result<Self> {
        Ok(Self { state: Mutex::new(RunState::new(context)?), cancelled: AtomicBool::default() })
    }

    pub fn lock(&self) -> MutexGuard<'_, RunState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Passes what `process` reports to the records.
    pub fn with<T>(&self, process: &mut Process, act: impl FnOnce(&mut RunState) -> T) -> T {
        let mut state = self.lock();
        state.tracker.switch(process);
        let done = act(&mut state);
        state.tracker.switch(process);
        done
    }

    pub fn into_state(self) -> RunState {
        self.state.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends all of them.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::SeqCst);
    }

    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }
}

impl RunState {
    fn new(context: &Context) -> Result<Self> {
        Ok(Self {
            began: None,
            tracker: Tracker::default(),
            logs: BuildLogs::create(&log_folder(context)?),
            progress: None,
            running: 0,
        })
    }

    /// To be called when a `nix build` starts.
    pub fn begin(&mut self, ui: &Ui) {
        self.began.get_or_insert_with(Instant::now);
        self.running += 1;
        self.progress.get_or_insert_with(|| Progress::new(ui));
    }

    /// To be called when a `nix build` has ended. The last one takes the bars with it.
    pub fn end(&mut self) {
        self.running -= 1;
        if self.running == 0 {
            self.progress = None;
        }
    }

    /// Seconds since the start of the run.
    pub fn now(&self) -> f64 {
        self.began.map_or(0.0, |began| began.elapsed().as_secs_f64())
    }

    /// The record of a derivation; an empty one where nothing was heard of it.
    pub fn of(&self, drv: &DrvPath) -> &Derivation {
        static NOTHING: LazyLock<Derivation> = LazyLock::new(Derivation::default);
        self.tracker.derivations.get(drv).unwrap_or(&NOTHING)
    }

    pub fn attempts(&mut self, drv: &DrvPath) -> &mut Attempts {
        &mut self.tracker.derivations.entry(drv).attempts
    }

    /// For each of these builds, which are not in the store, the derivations whose failure
    /// explains that: itself, or what it depends on.
    pub fn culprits(&self, context: &Context, builds: &[&Build]) -> Result<Culprits> {
        let roots: Vec<DrvPath> = builds.iter().map(|build| build.drv.clone()).collect();
        let needed_by = derivation::needed_by(&context.flake.nix, &roots)?;
        let failed =
            |row: &Derivation| row.stage == Stage::Failed || row.attempts.timed_out.is_some();
        let of_build = |(place, own): (usize, &DrvPath)| {
            let dependencies = needed_by.iter().filter(|(_, places)| places.contains(&place));
            let needs = || std::iter::once(own).chain(dependencies.clone().map(|(drv, _)| drv));
            let mut culprits: Vec<DrvPath> =
                needs().filter(|drv| failed(self.of(drv))).cloned().collect();
            // What could not be fetched was never begun.
            if culprits.is_empty() {
                let errors = &self.of(own).attempts.errors;
                culprits.extend(needs().find(|drv| retry::mentions(errors, drv)).cloned());
            }
            (own.clone(), culprits)
        };
        Ok(roots.iter().enumerate().map(of_build).collect())
    }

    fn failure<'a>(&'a self, build: &Build, drv: &'a DrvPath) -> Failure<'a> {
        Failure { drv, row: self.of(drv), errors: &self.of(&build.drv).attempts.errors }
    }

    /// Why another attempt may succeed, if every culprit's failure is transient.
    pub fn transient(&self, build: &Build, culprits: &[DrvPath]) -> Option<String> {
        let own = [build.drv.clone()];
        let mut why = None;
        for drv in if culprits.is_empty() { &own[..] } else { culprits } {
            if self.of(drv).attempts.timed_out.is_some() {
                return None;
            }
            let failure = self.failure(build, drv);
            let what = match retry::transient(&failure)? {
                Transient::Builder => "a builder was lost",
                Transient::Network => "the network failed",
            };
            why = Some(retry::reason(&failure).unwrap_or_else(|| what.to_owned()));
        }
        why
    }

    /// Why this derivation failed, so that the build is not there, in one line.
    pub fn reason(&self, build: &Build, drv: &DrvPath) -> Option<String> {
        if let Some(why) = &self.of(drv).attempts.timed_out {
            return Some(why.clone());
        }
        let mut reason = retry::reason(&self.failure(build, drv))?;
        let full = |text: &str| text.contains("No space left on device");
        let row = self.of(drv);
        let is_full = full(&reason) || row.tail.newest().any(|line| full(line));
        if is_full && row.machine.is_empty() {
            reason.push_str(&full_disk());
        }
        Some(reason)
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
