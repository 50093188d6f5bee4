//! Builds the first variants while other hosts are being evaluated, so that a large fleet's first
//! compiler starts after seconds. A second `nix build` then builds the rest.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::build::args::Limits;
use crate::build::parallel::{self, Machine};
use crate::build::plan::{Todo, plan};
use crate::build::run_state::SharedRun;
use crate::build::variants::{Build, distinct};
use crate::build::{attempts, run};
use crate::check::batch::EvalLimits;
use crate::fleet::context::Context;
use crate::fleet::manifest::Selection;
use crate::fleet::names::HostName;
use crate::nix::builders::Configured;
use crate::nix::names::DrvPath;
use crate::system::interrupt;

/// Delay of the first build: a fleet that is evaluated in less time gains nothing from a second
/// `nix build`.
const DELAY: Duration = Duration::from_secs(2);
/// Interval of the checks for Ctrl-C.
const PAUSE: Duration = Duration::from_millis(50);

/// The variants whose build was begun early, as they were planned then.
pub type Begun = HashMap<DrvPath, Todo>;

/// Builds for the hosts that have been evaluated so far.
pub struct EarlyBuild<'a> {
    context: &'a Context,
    limits: &'a Limits,
    run: &'a SharedRun,
    /// The machine before the evaluation.
    whole: Machine,
    /// What these builds may use, without the evaluators' share.
    machine: Machine,
    began: Instant,
    known: Mutex<Known>,
    changed: Condvar,
}

#[derive(Default)]
struct Known {
    selections: Vec<(HostName, Selection)>,
    /// Whether selections were added since builds were last chosen.
    grown: bool,
    begun: Begun,
    /// Whether a `nix build` is running.
    running: bool,
    /// Whether no more builds begin.
    closed: bool,
}

impl<'a> EarlyBuild<'a> {
    /// Measures the free memory. Call it before the evaluation begins.
    pub fn new(context: &'a Context, limits: &'a Limits, run: &'a SharedRun) -> Self {
        let whole = run::this_machine();
        let left = |free: u64| free - EvalLimits::new(None, None, whole.cores, Some(free)).memory;
        let machine = Machine { memory: whole.memory.map(left), ..whole };
        let (began, known, changed) = (Instant::now(), Mutex::default(), Condvar::new());
        Self { context, limits, run, whole, machine, began, known, changed }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a host that has been evaluated.
    pub fn add(&self, host: &HostName, selection: Selection) {
        let mut known = self.lock();
        known.selections.push((host.clone(), selection));
        known.grown = true;
    }

    /// Builds until [`Self::close`] is called.
    ///
    /// # Errors
    /// Nix cannot be started.
    pub fn build(&self) -> Result<()> {
        while let Some(builds) = self.next() {
            // The plan of all builds reports the error.
            let Ok(planned) = plan(self.context, &builds) else { continue };
            let wanted = planned.plan.wanted();
            {
                let mut known = self.lock();
                if known.closed || wanted.is_empty() {
                    continue;
                }
                known.running = true;
                let rows = planned.plan.variants.iter().filter(|row| row.plan.is_work());
                known.begun.extend(rows.map(|row| (row.build.drv.clone(), row.plan)));
            }
            let names: Vec<&str> = wanted.iter().map(|build| build.variant.as_str()).collect();
            let names = names.join(", ");
            self.context.ui.status(format!("building {names} while other hosts are evaluated"));
            let limits = self.limits(&wanted);
            let expected = run::expected(&planned.earlier, wanted.iter().map(|build| &build.drv));
            let ended = attempts::run(self.context, &wanted, &limits, expected, self.run);
            self.lock().running = false;
            self.changed.notify_all();
            ended?;
        }
        Ok(())
    }

    /// Waits for the builds to begin next; `None` if no more builds begin.
    fn next(&self) -> Option<Vec<Build>> {
        let mut known = self.lock();
        loop {
            if known.closed || interrupt::requested() {
                return None;
            }
            if known.grown && (self.began.elapsed() >= DELAY || !known.begun.is_empty()) {
                known.grown = false;
                let selections = known.selections.iter().map(|(host, it)| (host, it));
                let mut builds = distinct(selections);
                builds.retain(|build| !known.begun.contains_key(&build.drv));
                return Some(builds);
            }
            let waited = self.changed.wait_timeout(known, PAUSE);
            known = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Returns limits for one build at a time, so that the remaining jobs are free for the rest.
    fn limits(&self, wanted: &[&Build]) -> Limits {
        let configured = Configured::read(&self.context.flake.nix);
        let limits =
            |requested: &Limits| parallel::choose(wanted, self.machine, &configured, requested);
        let jobs = limits(self.limits).jobs.map(|jobs| jobs.min(1));
        limits(&Limits { jobs, ..*self.limits })
    }

    /// Prevents further builds, and returns those that were begun.
    pub fn close(&self) -> Begun {
        let mut known = self.lock();
        known.closed = true;
        self.changed.notify_all();
        known.begun.clone()
    }

    /// Returns what other builds may use beside the running ones; `None` if none is running.
    pub fn rest_of_machine(&self) -> Option<Machine> {
        let Machine { cores, memory } = self.whole;
        let memory = memory.zip(self.machine.memory).map(|(whole, own)| whole - own);
        self.lock().running.then_some(Machine { cores, memory })
    }

    /// Waits until no build is running.
    pub fn wait(&self) {
        let mut known = self.lock();
        while known.running {
            known = self.changed.wait(known).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
