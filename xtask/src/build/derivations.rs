//! A record of each derivation of a run, and the overall progress. Times are seconds since the
//! start of the run, passed in by the caller.
//!
//! Pure: no I/O, no clock.

use std::collections::BTreeMap;

use crate::build::estimates::{self, Pace};
use crate::build::log_tail::Tail;
use crate::build::variants::{Build, short_name};
use crate::nix::machines::machine_name;
use crate::nix::names::{DrvPath, StorePath};

/// What is known about a derivation before its build begins.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Expected {
    /// Seconds that earlier builds took.
    pub seconds: Option<f64>,
    /// Indices of the variants that need it; `None` if unknown.
    pub needed_by: Option<Vec<usize>>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Nix has not mentioned it, and may never build it.
    #[default]
    Known,
    Waiting,
    Running,
    Ended,
    Failed,
}

/// One derivation: a variant, or a dependency of one.
#[derive(Debug, Default, Clone)]
pub struct Derivation {
    pub name: String,
    /// A variant's hosts and packages.
    pub wanted_by: String,
    /// A variant's output.
    out: Option<StorePath>,
    expected: Expected,
    pub attempts: Attempts,
    pub stage: Stage,
    /// The machine that builds it, as Nix names it; empty for this one.
    pub machine: String,
    pub phase: String,
    /// Completed and total steps.
    pub steps: Option<(u32, u32)>,
    began: f64,
    ended: f64,
    /// The time of the first reported step, and the fraction that was done.
    first_step: Option<(f64, f64)>,
    /// The last printed tenth of the steps, if no bars are drawn.
    pub printed_tenths: u32,
    pub tail: Tail,
    /// Whether Nix has begun to build it, rather than only to fetch it.
    pub started: bool,
    /// Nix's current activity for its build.
    pub activity: Option<Activity>,
}

/// The attempts at one derivation.
#[derive(Debug, Default, Clone)]
pub struct Attempts {
    pub count: u32,
    pub retries: u32,
    /// Nix's errors during the last attempt.
    pub errors: Vec<String>,
    /// Why the build was stopped, if it took too long on its builder.
    pub timed_out: Option<String>,
    /// Whether the last attempt failed before the user interrupted the run.
    pub failed: bool,
}

/// A build that has begun and has not ended, as far as is known.
#[derive(Debug, Default, Clone)]
pub struct Activity {
    /// Number of Nix's activities for this build: 2 if its builder reports it too.
    pub count: u32,
    /// Number of the last event about the build.
    pub last_event: u64,
    pub remote: Option<Remote>,
}

/// A build that has begun on its builder. Only `ssh-ng://` builders report this, by an activity
/// nested in the one that Nix starts when it passes the build to the builder.
#[derive(Debug, Clone)]
pub struct Remote {
    pub id: u64,
    pub began_at: f64,
    pub last_event_at: f64,
}

impl Derivation {
    pub fn begin(&mut self, machine: String, phase: &str, now: f64) {
        (self.stage, self.began, self.machine) = (Stage::Running, now, machine);
        (self.phase, self.printed_tenths) = (phase.to_owned(), 0);
        (self.steps, self.first_step, self.tail) = (None, None, Tail::default());
        (self.attempts.failed, self.attempts.timed_out) = (false, None);
    }

    pub fn enter(&mut self, phase: &str) {
        self.phase = phase.trim_end_matches("Phase").to_owned();
        if self.phase == "build" {
            (self.steps, self.first_step) = (None, None);
        }
    }

    /// Records these steps if they are progress, and returns whether they are. A nested ninja
    /// (Vulkan's shader generator) counts fewer steps than the build that runs it.
    pub fn advance(&mut self, (done, total): (u32, u32), now: f64) -> bool {
        let advances = self.steps.is_none_or(|(seen_done, seen_total)| {
            // The earlier steps were those of a small ninja before the build's own.
            let was_small = seen_total < 10 && total >= 10 * seen_total;
            let [before, after] = [(seen_done, total), (done, seen_total)]
                .map(|(steps, other_total)| u64::from(steps) * u64::from(other_total));
            was_small || total >= seen_total && after > before
        });
        if advances {
            self.steps = Some((done, total));
            self.first_step.get_or_insert((now, f64::from(done) / f64::from(total)));
        }
        advances
    }

    pub fn end(&mut self, now: f64) {
        (self.stage, self.ended) = (Stage::Ended, now);
    }

    pub fn fail(&mut self) {
        self.stage = Stage::Failed;
    }

    pub fn is_variant(&self) -> bool {
        self.out.is_some()
    }

    /// Returns the indices of the variants that need it; empty if unknown.
    pub fn needed_by(&self) -> &[usize] {
        self.expected.needed_by.as_deref().unwrap_or_default()
    }

    /// Returns the builder's name, such as ` on builder-1`; empty for this machine.
    pub fn on(&self) -> String {
        let name = machine_name(&self.machine);
        match name.rsplit_once('@').map_or(name, |(_, host)| host) {
            "" | "localhost" => String::new(),
            machine => format!(" on {machine}"),
        }
    }

    pub fn fraction(&self) -> Option<f64> {
        self.steps.map(|(done, total)| f64::from(done) / f64::from(total))
    }

    pub fn elapsed(&self, now: f64) -> f64 {
        match self.stage {
            Stage::Known | Stage::Waiting => 0.0,
            Stage::Running => (now - self.began).max(0.0),
            Stage::Ended | Stage::Failed => self.ended - self.began,
        }
    }

    /// Returns the seconds of its last build; 0 if it was only fetched.
    pub fn build_seconds(&self, now: f64) -> f64 {
        if self.started { self.elapsed(now) } else { 0.0 }
    }

    /// Estimates the remaining seconds of a running build.
    pub fn remaining(&self, now: f64) -> Option<f64> {
        let pace = self.fraction().zip(self.first_step).map(|(fraction, (at, first_fraction))| {
            Pace { fraction, first_fraction, seconds: (now - at).max(0.0) }
        });
        estimates::remaining(self.expected.seconds, self.elapsed(now), pace)
    }

    /// Returns the fraction of the work that is done, from 0 to 1.
    fn share(&self, now: f64) -> f64 {
        match self.stage {
            Stage::Known | Stage::Waiting => 0.0,
            Stage::Ended | Stage::Failed => 1.0,
            Stage::Running => {
                // Without an estimate of the time, the fraction is that of the steps.
                let by_time = self.expected.seconds.and(self.remaining(now)).map(|left| {
                    let elapsed = self.elapsed(now);
                    if elapsed + left > 0.0 { elapsed / (elapsed + left) } else { 0.0 }
                });
                by_time.or(self.fraction()).unwrap_or(0.0).min(0.99)
            }
        }
    }

    /// Estimates the seconds of the whole build.
    fn all_seconds(&self, now: f64) -> Option<f64> {
        match self.stage {
            Stage::Known | Stage::Waiting => self.expected.seconds,
            Stage::Running => self.remaining(now).map(|left| self.elapsed(now) + left),
            Stage::Ended | Stage::Failed => Some(self.elapsed(now)),
        }
    }
}

/// The phase of a variant that is fetched.
const FETCHING: &str = "fetching";

/// The progress of all builds.
#[derive(Debug, Clone, PartialEq)]
pub struct Overall {
    /// From 0 to 1; it never decreases.
    pub fraction: f64,
    /// Ended builds and all known builds, including dependencies.
    pub ended: usize,
    pub all: usize,
    pub failed: usize,
    pub running: usize,
    pub elapsed: f64,
    pub remaining: Option<f64>,
    /// Bytes that were fetched from binary caches, and expected bytes.
    pub fetched: Option<(u64, u64)>,
}

#[derive(Debug, Default)]
pub struct Derivations {
    drvs: BTreeMap<DrvPath, Derivation>,
    variants: Vec<DrvPath>,
    /// Builds that Nix has announced, including finished ones. Builds of two processes count twice.
    pub nix_expects: u64,
    fetching: Option<String>,
    fetched: Option<(u64, u64)>,
    shown_fraction: f64,
}

impl Derivations {
    /// Adds the variants of a `nix build`, or resets those of an earlier one.
    pub fn add_variants(&mut self, builds: &[&Build]) {
        self.shown_fraction = 0.0;
        for build in builds {
            if !self.variants.contains(&build.drv) {
                self.variants.push(build.drv.clone());
            }
            let row = self.entry(&build.drv);
            row.name = build.variant.as_str().to_owned();
            row.wanted_by = build.wanted_by();
            row.out = Some(build.out.clone());
            row.stage = Stage::Waiting;
        }
    }

    /// Updates the hosts of a variant, which may have become more since its build began.
    pub fn set_wanted_by(&mut self, build: &Build) {
        self.entry(&build.drv).wanted_by = build.wanted_by();
    }

    /// Adds expectations, before or during the builds.
    pub fn add_expected(&mut self, expected: Vec<(DrvPath, Expected)>) {
        for (drv, new) in expected {
            let known = &mut self.entry(&drv).expected;
            known.seconds = known.seconds.or(new.seconds);
            known.needed_by = new.needed_by.or(known.needed_by.take());
        }
    }

    pub fn entry(&mut self, drv: &DrvPath) -> &mut Derivation {
        self.drvs.entry(drv.clone()).or_insert_with(|| Derivation {
            name: short_name(drv.as_str()).to_owned(),
            ..Derivation::default()
        })
    }

    /// Records that Nix fetches this path.
    pub fn fetch(&mut self, path: &StorePath, now: f64) {
        self.fetching = Some(short_name(path.as_str()).to_owned());
        if let Some(row) = self.variant_of(path) {
            row.begin(String::new(), FETCHING, now);
        }
    }

    /// Records that the fetching of a path has ended, successfully or not.
    pub fn end_fetch(&mut self, path: &StorePath, now: f64) {
        if let Some(row) = self.variant_of(path).filter(|row| row.phase == FETCHING) {
            row.end(now);
        }
    }

    /// Adds further fetched and expected bytes; returns the sums.
    pub fn add_fetched(&mut self, bytes: u64, of: u64) -> (u64, u64) {
        let (fetched, expected) = self.fetched.unwrap_or_default();
        let sums = (fetched + bytes, expected + of);
        if sums.0 == sums.1 {
            self.fetching = None;
        }
        *self.fetched.insert(sums)
    }

    fn variant_of(&mut self, out: &StorePath) -> Option<&mut Derivation> {
        self.drvs.values_mut().find(|build| build.out.as_ref() == Some(out))
    }

    pub fn get(&self, drv: &DrvPath) -> Option<&Derivation> {
        self.drvs.get(drv)
    }

    pub fn get_mut(&mut self, drv: &DrvPath) -> Option<&mut Derivation> {
        self.drvs.get_mut(drv)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&DrvPath, &Derivation)> {
        self.drvs.iter()
    }

    /// Returns the variants in the order of the indices in `needed_by`.
    pub fn variant_drvs(&self) -> &[DrvPath] {
        &self.variants
    }

    pub fn variants(&self) -> impl Iterator<Item = &Derivation> {
        self.variants.iter().filter_map(|drv| self.drvs.get(drv))
    }

    /// Returns whether it is still unknown which variants need this derivation.
    pub fn is_unattributed(&self, drv: &DrvPath) -> bool {
        let unknown =
            |build: &Derivation| !build.is_variant() && build.expected.needed_by.is_none();
        self.drvs.get(drv).is_none_or(unknown)
    }

    /// Returns the dependencies that are being built.
    pub fn running_dependencies(&self) -> impl Iterator<Item = &Derivation> {
        self.drvs.values().filter(|build| build.stage == Stage::Running && !build.is_variant())
    }

    /// Returns the name of the path that is being fetched.
    pub fn fetching(&self) -> Option<&str> {
        self.fetching.as_deref()
    }

    pub fn overall(&mut self, now: f64) -> Overall {
        let rows: Vec<&Derivation> =
            self.drvs.values().filter(|build| build.stage != Stage::Known).collect();
        let count = |stage| rows.iter().filter(|row| row.stage == stage).count();
        let (failed, running) = (count(Stage::Failed), count(Stage::Running));
        let ended = count(Stage::Ended) + failed;
        let started = ended + running > 0;
        // Before the first build begins, Nix also counts builds that a cache may have.
        let nix = if started { self.nix_expects as usize } else { 0 };
        let all = rows.len().max(nix);

        // A build without an estimate is assumed to take the average time.
        let known: Vec<f64> = rows.iter().filter_map(|row| row.all_seconds(now)).collect();
        let average = (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64);
        let (mut weight, mut done, mut left, mut longest) = (0.0, 0.0, 0.0, 0.0_f64);
        for row in &rows {
            let seconds = row.all_seconds(now).or(average).unwrap_or(1.0);
            let share = self.fetched_fraction(row).unwrap_or_else(|| row.share(now));
            weight += seconds;
            done += seconds * share;
            let rest = match row.stage {
                Stage::Ended | Stage::Failed => 0.0,
                _ => row.remaining(now).unwrap_or(seconds * (1.0 - share)),
            };
            left += rest;
            longest = longest.max(rest);
        }
        let unknown = all.saturating_sub(rows.len()) as f64;
        weight += unknown * average.unwrap_or(1.0);
        left += unknown * average.unwrap_or(1.0);
        let fraction =
            if ended >= all { 1.0 } else { (done / weight.max(f64::MIN_POSITIVE)).min(0.99) };
        self.shown_fraction = self.shown_fraction.max(fraction);
        let remaining = (started && average.is_some() && ended < all)
            .then(|| longest.max(left / running.max(1) as f64));
        Overall {
            fraction: self.shown_fraction,
            ended,
            all,
            failed,
            running,
            elapsed: now,
            remaining,
            fetched: self.fetched,
        }
    }

    /// Returns the fraction of all bytes that are fetched, for a variant that is being fetched.
    fn fetched_fraction(&self, row: &Derivation) -> Option<f64> {
        let fetching = row.stage == Stage::Running && row.phase == FETCHING;
        let (bytes, of) = self.fetched.filter(|(_, of)| fetching && *of > 0)?;
        Some((bytes as f64 / of as f64).min(0.99))
    }
}

#[cfg(test)]
#[path = "derivations_tests.rs"]
mod tests;
