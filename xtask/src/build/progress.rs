//! How far each build is, and all of them together; what is drawn is made of this.
//! Times are seconds since the beginning, given by whoever has a clock.
//!
//! Pure: no I/O, no clock.

use std::collections::BTreeMap;

use crate::build::estimates::{self, Pace};
use crate::build::tracker::Update;
use crate::build::variants::{Build, short_name};
use crate::build::wording::wanted_by;
use crate::nix::machines::machine_name;
use crate::nix::names::{DrvPath, StorePath};

/// What is known before the first build begins.
#[derive(Debug, Default, Clone)]
pub struct Expected {
    /// What earlier builds took, in seconds.
    pub seconds: BTreeMap<DrvPath, f64>,
    /// Which variants, by their place in the list, need a derivation that is no variant.
    pub needed_by: BTreeMap<DrvPath, Vec<usize>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Waiting,
    Running,
    Ended,
    Failed,
}

/// One derivation: a variant, or what one needs.
#[derive(Debug, Clone)]
pub struct Row {
    pub name: String,
    /// For a variant, its hosts and packages.
    pub wanted_by: String,
    pub stage: Stage,
    pub machine: String,
    pub phase: String,
    /// Steps done and in all.
    pub steps: Option<(u32, u32)>,
    began: f64,
    ended: f64,
    /// When the first step was told, and the fraction it was.
    first_step: Option<(f64, f64)>,
    earlier: Option<f64>,
}

impl Row {
    fn new(name: &str, wanted_by: String, earlier: Option<f64>) -> Self {
        Self {
            name: name.to_owned(),
            wanted_by,
            stage: Stage::Waiting,
            machine: String::new(),
            phase: String::new(),
            steps: None,
            began: 0.0,
            ended: 0.0,
            first_step: None,
            earlier,
        }
    }

    pub fn fraction(&self) -> Option<f64> {
        self.steps.map(|(done, total)| f64::from(done) / f64::from(total))
    }

    pub fn elapsed(&self, now: f64) -> f64 {
        match self.stage {
            Stage::Waiting => 0.0,
            Stage::Running => (now - self.began).max(0.0),
            Stage::Ended | Stage::Failed => self.ended - self.began,
        }
    }

    /// Seconds left of a running build, where something tells.
    pub fn remaining(&self, now: f64) -> Option<f64> {
        let pace = self.fraction().zip(self.first_step).map(|(fraction, (at, first_fraction))| {
            Pace { fraction, first_fraction, seconds: (now - at).max(0.0) }
        });
        estimates::remaining(self.earlier, self.elapsed(now), pace)
    }

    /// How much of the work is done, from 0 to 1.
    fn share(&self, now: f64) -> f64 {
        match self.stage {
            Stage::Waiting => 0.0,
            Stage::Ended | Stage::Failed => 1.0,
            Stage::Running => {
                // The pace of the first steps says little of the time; the steps are true.
                let by_time = self.earlier.and(self.remaining(now)).map(|left| {
                    let elapsed = self.elapsed(now);
                    if elapsed + left > 0.0 { elapsed / (elapsed + left) } else { 0.0 }
                });
                by_time.or(self.fraction()).unwrap_or(0.0).min(0.99)
            }
        }
    }
}

/// The line below all others.
#[derive(Debug, Clone, PartialEq)]
pub struct Overall {
    /// From 0 to 1; it never runs backwards.
    pub fraction: f64,
    /// Builds that ended, and all that are known of; dependencies too.
    pub ended: usize,
    pub all: usize,
    pub failed: usize,
    pub running: usize,
    pub elapsed: f64,
    pub remaining: Option<f64>,
    /// Bytes from binary caches, and of how many.
    pub fetched: Option<(u64, u64)>,
}

pub struct BuildProgress {
    rows: Vec<Row>,
    /// How many of `rows`, the first, are variants.
    variants: usize,
    places: BTreeMap<DrvPath, usize>,
    outputs: BTreeMap<StorePath, usize>,
    expected: Expected,
    /// Builds that Nix knows of.
    nix_expects: u64,
    fetching: Option<String>,
    fetched: Option<(u64, u64)>,
    told: f64,
}

impl BuildProgress {
    pub fn new(builds: &[&Build], expected: Expected) -> Self {
        let mut progress = Self {
            rows: vec![],
            variants: builds.len(),
            places: BTreeMap::new(),
            outputs: BTreeMap::new(),
            expected,
            nix_expects: 0,
            fetching: None,
            fetched: None,
            told: 0.0,
        };
        for build in builds {
            let wanted_by = wanted_by(&build.hosts, &build.packages);
            let place = progress.add(&build.drv, build.variant.as_str(), wanted_by);
            progress.outputs.insert(build.out.clone(), place);
        }
        progress
    }

    fn add(&mut self, drv: &DrvPath, name: &str, wanted_by: String) -> usize {
        let earlier = self.expected.seconds.get(drv).copied();
        self.places.insert(drv.clone(), self.rows.len());
        self.rows.push(Row::new(name, wanted_by, earlier));
        self.rows.len() - 1
    }

    /// What was found out while builds ran.
    pub fn learn(&mut self, more: Expected) {
        for (drv, seconds) in &more.seconds {
            if let Some(place) = self.places.get(drv) {
                self.rows[*place].earlier.get_or_insert(*seconds);
            }
        }
        self.expected.seconds.extend(more.seconds);
        self.expected.needed_by.extend(more.needed_by);
    }

    pub fn apply(&mut self, update: &Update, now: f64) {
        match update {
            Update::Started { drv, machine } => {
                let place = match self.places.get(drv) {
                    Some(place) => *place,
                    None => self.add(drv, short_name(drv.as_str()), String::new()),
                };
                self.begin(place, short_machine(machine), "", now);
            }
            Update::Phase { drv, phase } => {
                let Some(row) = self.row_mut(drv) else { return };
                row.phase = phase.trim_end_matches("Phase").to_owned();
                if row.phase == "build" {
                    (row.steps, row.first_step) = (None, None);
                }
            }
            Update::Fraction { drv, done, total } => {
                let Some(row) = self.row_mut(drv) else { return };
                row.steps = Some((*done, *total));
                let fraction = f64::from(*done) / f64::from(*total);
                row.first_step.get_or_insert((now, fraction));
            }
            Update::Stopped { drv } => {
                let Some(row) = self.row_mut(drv) else { return };
                (row.stage, row.ended) = (Stage::Ended, now);
            }
            Update::Failed { drv, .. } => {
                if let Some(row) = self.row_mut(drv) {
                    row.stage = Stage::Failed;
                }
            }
            Update::Substituting { path } => {
                self.fetching = Some(short_name(path.as_str()).to_owned());
                if let Some(place) = self.outputs.get(path) {
                    self.begin(*place, String::new(), "fetching", now);
                }
            }
            Update::Substituted { path } => {
                let place = self.outputs.get(path);
                if let Some(row) = place.and_then(|place| self.rows.get_mut(*place))
                    && row.phase == "fetching"
                {
                    (row.stage, row.ended) = (Stage::Ended, now);
                }
            }
            Update::Fetched { bytes, of } => {
                self.fetched = Some((*bytes, *of));
                if bytes == of {
                    self.fetching = None;
                }
            }
            Update::Expecting { builds } => self.nix_expects = *builds,
            Update::Line { .. } | Update::Message { .. } => {}
        }
    }

    fn begin(&mut self, place: usize, machine: String, phase: &str, now: f64) {
        let row = &mut self.rows[place];
        let fresh = Row::new(&row.name, std::mem::take(&mut row.wanted_by), row.earlier);
        let (stage, phase) = (Stage::Running, phase.to_owned());
        *row = Row { stage, machine, phase, began: now, ..fresh };
    }

    fn row_mut(&mut self, drv: &DrvPath) -> Option<&mut Row> {
        self.rows.get_mut(*self.places.get(drv)?)
    }

    pub fn row(&self, drv: &DrvPath) -> Option<&Row> {
        self.rows.get(*self.places.get(drv)?)
    }

    pub fn variants(&self) -> &[Row] {
        &self.rows[..self.variants]
    }

    /// Whether this is one of the variants, and not what one of them needs.
    pub fn is_variant(&self, drv: &DrvPath) -> bool {
        self.places.get(drv).is_some_and(|place| *place < self.variants)
    }

    /// Whether nobody has said yet who needs it.
    pub fn is_stray(&self, drv: &DrvPath) -> bool {
        !self.is_variant(drv) && !self.expected.needed_by.contains_key(drv)
    }

    /// The variants that need this derivation, by place; none where nobody said.
    pub fn needed_by(&self, drv: &DrvPath) -> &[usize] {
        self.expected.needed_by.get(drv).map_or(&[], Vec::as_slice)
    }

    /// Dependencies whose build runs.
    pub fn dependencies(&self) -> impl Iterator<Item = (&DrvPath, &Row)> {
        let running =
            |place: usize| place >= self.variants && self.rows[place].stage == Stage::Running;
        let found = self.places.iter().filter(move |(_, place)| running(**place));
        found.map(|(drv, place)| (drv, &self.rows[*place]))
    }

    /// What is being fetched, while there is such.
    pub fn fetching(&self) -> Option<&str> {
        self.fetching.as_deref()
    }

    pub fn overall(&mut self, now: f64) -> Overall {
        let count = |stage| self.rows.iter().filter(|row| row.stage == stage).count();
        let (failed, running) = (count(Stage::Failed), count(Stage::Running));
        let ended = count(Stage::Ended) + failed;
        let started = ended + running > 0;
        // Before the first build begins Nix counts what a cache may have.
        let nix = if started { self.nix_expects as usize } else { 0 };
        let all = self.rows.len().max(nix);

        // What nobody knows is taken to be as long as the rest.
        let known: Vec<f64> =
            self.rows.iter().filter_map(|row| self.all_seconds(row, now)).collect();
        let usual = if known.is_empty() {
            None
        } else {
            Some(known.iter().sum::<f64>() / known.len() as f64)
        };
        let (mut weight, mut done, mut left, mut longest) = (0.0, 0.0, 0.0, 0.0_f64);
        for row in &self.rows {
            let seconds = self.all_seconds(row, now).or(usual).unwrap_or(1.0);
            let share = self.bytes_of(row).unwrap_or_else(|| row.share(now));
            weight += seconds;
            done += seconds * share;
            let rest = match row.stage {
                Stage::Ended | Stage::Failed => 0.0,
                _ => row.remaining(now).unwrap_or(seconds * (1.0 - share)),
            };
            left += rest;
            longest = longest.max(rest);
        }
        let unknown = all.saturating_sub(self.rows.len()) as f64;
        weight += unknown * usual.unwrap_or(1.0);
        left += unknown * usual.unwrap_or(1.0);
        let fraction =
            if ended >= all { 1.0 } else { (done / weight.max(f64::MIN_POSITIVE)).min(0.99) };
        self.told = self.told.max(fraction);
        let remaining = (started && usual.is_some() && ended < all)
            .then(|| longest.max(left / running.max(1) as f64));
        Overall {
            fraction: self.told,
            ended,
            all,
            failed,
            running,
            elapsed: now,
            remaining,
            fetched: self.fetched,
        }
    }

    /// How far what is fetched is.
    fn bytes_of(&self, row: &Row) -> Option<f64> {
        let fetching = row.stage == Stage::Running && row.phase == "fetching";
        let (bytes, of) = self.fetched.filter(|(_, of)| fetching && *of > 0)?;
        Some((bytes as f64 / of as f64).min(0.99))
    }

    /// What a build takes in all, where something tells.
    fn all_seconds(&self, row: &Row, now: f64) -> Option<f64> {
        match row.stage {
            Stage::Waiting => row.earlier,
            Stage::Running => row.remaining(now).map(|left| row.elapsed(now) + left),
            Stage::Ended | Stage::Failed => Some(row.elapsed(now)),
        }
    }
}

/// The builder's name alone: rows are narrow. Empty for this machine.
fn short_machine(machine: &str) -> String {
    let name = machine_name(machine);
    let name = name.rsplit_once('@').map_or(name, |(_, host)| host);
    if name == "localhost" { String::new() } else { name.to_owned() }
}

#[cfg(test)]
#[path = "progress_tests.rs"]
mod tests;
