//! The state of a run over all attempts of `nix build`: which builds failed, and why.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use anyhow::Result;

use crate::build::derivations::{Attempts, Derivation, Stage};
use crate::build::log::BuildLogs;
use crate::build::retry::{self, Failure, Transient};
use crate::build::tracker::{Process, Tracker};
use crate::build::variants::Build;
use crate::build::view::Progress;
use crate::fleet::context::Context;
use crate::nix::derivation;
use crate::nix::names::DrvPath;
use crate::system::{disk, resources};
use crate::ui::Ui;

/// The failed derivations that explain each build's failure.
pub type Culprits = HashMap<DrvPath, Vec<DrvPath>>;

pub struct RunState {
    /// When the first `nix build` was started.
    began: Option<Instant>,
    pub tracker: Tracker,
    pub logs: BuildLogs,
    /// `None` if no `nix build` is running.
    pub progress: Option<Progress>,
    /// Number of running `nix build` processes.
    running: usize,
}

/// The state that is shared by threads which each run a `nix build`.
pub struct SharedRun {
    state: Mutex<RunState>,
    cancelled: AtomicBool,
}

impl SharedRun {
    pub fn new(context: &Context) -> Self {
        Self { state: Mutex::new(RunState::new(context)), cancelled: AtomicBool::default() }
    }

    pub fn lock(&self) -> MutexGuard<'_, RunState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls `act` with the state while the tracker follows `process`.
    pub fn with(&self, process: &mut Process, act: &mut dyn FnMut(&mut RunState)) {
        let mut state = self.lock();
        state.tracker.swap_process(process);
        act(&mut state);
        state.tracker.swap_process(process);
    }

    pub fn into_state(self) -> RunState {
        self.state.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes all threads end their `nix build`.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::SeqCst);
    }

    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }
}

impl RunState {
    fn new(context: &Context) -> Self {
        // A new folder for each run, so that logs of earlier runs are kept.
        let folder = format!("logs/build/{}-{}", resources::now(), std::process::id());
        Self {
            began: None,
            tracker: Tracker::default(),
            logs: BuildLogs::create(&context.home.join(folder)),
            progress: None,
            running: 0,
        }
    }

    /// Records the start of a `nix build`.
    pub fn begin(&mut self, ui: &Ui) {
        self.began.get_or_insert_with(Instant::now);
        self.running += 1;
        self.progress.get_or_insert_with(|| Progress::new(ui));
    }

    /// Records the end of a `nix build`. The progress display ends with the last one.
    pub fn end(&mut self) {
        self.running -= 1;
        if self.running == 0 {
            self.progress = None;
        }
    }

    /// Returns the seconds since the start of the run.
    pub fn now(&self) -> f64 {
        self.began.map_or(0.0, |began| began.elapsed().as_secs_f64())
    }

    /// Returns the record of a derivation; an empty one if Nix did not mention it.
    pub fn record(&self, drv: &DrvPath) -> &Derivation {
        static EMPTY: LazyLock<Derivation> = LazyLock::new(Derivation::default);
        self.tracker.derivations.get(drv).unwrap_or(&EMPTY)
    }

    pub fn attempts(&mut self, drv: &DrvPath) -> &mut Attempts {
        &mut self.tracker.derivations.entry(drv).attempts
    }

    /// Returns, for each of these missing builds, the failed derivations that explain it: the
    /// build's own, or its dependencies'.
    pub fn culprits(&self, context: &Context, builds: &[&Build]) -> Result<Culprits> {
        let roots: Vec<DrvPath> = builds.iter().map(|build| build.drv.clone()).collect();
        let needed_by = derivation::needed_by(&context.flake.nix, &roots)?;
        let failed =
            |row: &Derivation| row.stage == Stage::Failed || row.attempts.timed_out.is_some();
        let of_build = |(index, own): (usize, &DrvPath)| {
            let dependencies = needed_by.iter().filter(|(_, indices)| indices.contains(&index));
            let needs = || std::iter::once(own).chain(dependencies.clone().map(|(drv, _)| drv));
            let mut culprits: Vec<DrvPath> =
                needs().filter(|drv| failed(self.record(drv))).cloned().collect();
            // A path that could not be fetched has no build that failed.
            if culprits.is_empty() {
                let errors = &self.record(own).attempts.errors;
                culprits.extend(needs().find(|drv| retry::mentions(errors, drv)).cloned());
            }
            (own.clone(), culprits)
        };
        Ok(roots.iter().enumerate().map(of_build).collect())
    }

    fn failure<'a>(&'a self, build: &Build, drv: &'a DrvPath) -> Failure<'a> {
        Failure { drv, row: self.record(drv), errors: &self.record(&build.drv).attempts.errors }
    }

    /// Returns why a retry may succeed, if every failure is transient.
    pub fn transient(&self, build: &Build, culprits: &[DrvPath]) -> Option<String> {
        let own = [build.drv.clone()];
        let mut why = None;
        for drv in if culprits.is_empty() { &own[..] } else { culprits } {
            if self.record(drv).attempts.timed_out.is_some() {
                return None;
            }
            let failure = self.failure(build, drv);
            let cause = match retry::transient(&failure)? {
                Transient::Builder => "a builder was lost",
                Transient::Network => "the network failed",
            };
            why = Some(retry::reason(&failure).unwrap_or_else(|| cause.to_owned()));
        }
        why
    }

    /// Explains in one line why this derivation, and therefore the build, failed.
    pub fn reason(&self, build: &Build, drv: &DrvPath) -> Option<String> {
        if let Some(why) = &self.record(drv).attempts.timed_out {
            return Some(why.clone());
        }
        let mut reason = retry::reason(&self.failure(build, drv))?;
        let full = |text: &str| text.contains("No space left on device");
        let row = self.record(drv);
        let is_full = full(&reason) || row.tail.newest().any(|line| full(line));
        if is_full && row.machine.is_empty() {
            reason.push_str(&full_disk());
        }
        Some(reason)
    }
}

/// Names the disk that is probably full, which Nix does not report. A build writes to TMPDIR, its
/// result to the store; its files have been removed by now.
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
