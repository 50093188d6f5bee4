//! What a `nix build` does, followed event by event.
//!
//! Pure: no I/O, no clock.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::build::log_tail::{Tail, clean};
use crate::build::transfers::Transfers;
use crate::nix::diagnosis::strip_escapes;
use crate::nix::log::Event;
use crate::nix::names::{DrvPath, StorePath};

pub use crate::build::update::Update;

/// One derivation whose build was started. Times are seconds of the run.
#[derive(Debug, Default, Clone)]
struct Seen {
    /// Activities about it: its build, and the same as a builder reports it.
    running: u32,
    ended: bool,
    failed: bool,
    began_at: f64,
    ended_at: Option<f64>,
    fraction: Option<(u32, u32)>,
    tail: Tail,
    /// The number of the last event about it.
    heard: u64,
    machine: String,
    remote: Option<Remote>,
}

/// A build that has begun on its builder. Only `ssh-ng://` builders report it: by an
/// activity nested in the one that Nix starts when it hands the build over.
#[derive(Debug, Clone)]
struct Remote {
    id: u64,
    began_at: f64,
    heard_at: f64,
}

/// Seconds beyond a time limit in which Nix may enforce it itself.
const MARGIN: f64 = 3.0;

/// A build that ended while Nix has not said which.
#[derive(Debug, Clone, Copy)]
struct UnknownEnd {
    failed: bool,
    /// The number of the event; builds heard of later have not ended.
    at: u64,
}

/// Follows the events of one `nix build`, or of several after each other.
#[derive(Debug, Default)]
pub struct Tracker {
    now: f64,
    activities: HashMap<u64, DrvPath>,
    drvs: BTreeMap<DrvPath, Seen>,
    /// The activity whose progress counts builds; how many were built, how many failed.
    builds: (u64, u64, u64),
    unknown_ends: Vec<UnknownEnd>,
    events: u64,
    transfers: Transfers,
    substitutions: HashMap<u64, StorePath>,
    substituted: BTreeSet<StorePath>,
}

impl Tracker {
    /// Sets the seconds since the start of the run.
    pub fn at(&mut self, now: f64) -> &mut Self {
        self.now = now;
        self
    }

    /// `there` tells whether all outputs of a derivation are in the store: Nix 2.26 stops all
    /// builds' activities only when the last build has ended, and names the failed ones only
    /// then. What it reports at once is that one of them ended.
    pub fn follow(&mut self, event: Event, there: &dyn Fn(&DrvPath) -> bool) -> Vec<Update> {
        self.events += 1;
        match event {
            Event::BuildStarted { id, drv, machine } => self.start(id, drv, machine),
            Event::SubstituteStarted { id, path } => {
                self.transfers.substitution(id);
                self.substitutions.insert(id, path.clone());
                self.substituted.insert(path.clone());
                vec![Update::Substituting { path }]
            }
            Event::TransferStarted { id, parent, kind } => {
                self.transfers.started(id, parent, kind);
                vec![]
            }
            Event::Expected { id, kind, bytes } => {
                self.transfers.expect(id, kind, bytes);
                self.fetched()
            }
            Event::Stopped { id } => self.stop(id, there),
            Event::BuildsStarted { id } => {
                self.builds = (id, 0, 0);
                vec![]
            }
            Event::Progress { id, done, expected, running, failed } => {
                if self.transfers.progress(id, done, expected) {
                    return self.fetched();
                }
                if id != self.builds.0 {
                    return vec![];
                }
                self.count(done, failed, running);
                let mut updates = vec![Update::Expecting { builds: expected + failed }];
                self.settle(there, &mut updates);
                updates
            }
            Event::Phase { id, phase } => {
                let Some(drv) = self.activities.get(&id).cloned() else { return vec![] };
                let mut updates = self.hear(&drv, there);
                if phase == "buildPhase"
                    && let Some(seen) = self.drvs.get_mut(&drv)
                {
                    seen.fraction = None;
                }
                updates.push(Update::Phase { drv, phase: clean(phase) });
                updates
            }
            Event::LogLine { id, line } => self.line(id, line, there),
            // Nix colours its messages whether or not there is a terminal.
            Event::Message { level, text } => {
                let text = strip_escapes(&text);
                let mut updates = if level == 0 { self.blame(&text) } else { vec![] };
                updates.push(Update::Message { level, text });
                updates
            }
            Event::Raw(text) => vec![Update::Message { level: 3, text: strip_escapes(&text) }],
            Event::Skipped => vec![],
        }
    }

    fn start(&mut self, id: u64, drv: DrvPath, machine: String) -> Vec<Update> {
        self.activities.insert(id, drv.clone());
        let seen = self.drvs.entry(drv.clone()).or_default();
        // Built again after a failure.
        if seen.ended {
            *seen = Seen::default();
        }
        seen.running += 1;
        seen.heard = self.events;
        if seen.running > 1 {
            let (began_at, heard_at) = (self.now, self.now);
            seen.remote = (!seen.machine.is_empty()).then_some(Remote { id, began_at, heard_at });
            return vec![];
        }
        seen.began_at = self.now;
        seen.machine.clone_from(&machine);
        vec![Update::Started { drv, machine }]
    }

    fn stop(&mut self, id: u64, there: &dyn Fn(&DrvPath) -> bool) -> Vec<Update> {
        self.transfers.stopped(id);
        let mut updates = self.fetched();
        if let Some(path) = self.substitutions.remove(&id) {
            updates.push(Update::Substituted { path });
        }
        let Some(drv) = self.activities.remove(&id) else { return updates };
        let Some(seen) = self.drvs.get_mut(&drv) else { return updates };
        seen.running = seen.running.saturating_sub(1);
        // The result is copied back after that, which is not the build's time.
        if seen.remote.as_ref().is_some_and(|remote| remote.id == id) {
            seen.remote = None;
        }
        if seen.running > 0 || seen.ended {
            return updates;
        }
        // Newer Nix says first that one ended, then this.
        let failed = self.pending(true) > 0 && !there(&drv);
        if let Some(at) = self.unknown_ends.iter().position(|end| end.failed == failed) {
            self.unknown_ends.remove(at);
        }
        self.end(&drv, failed, &mut updates);
        self.settle(there, &mut updates);
        updates
    }

    fn line(&mut self, id: u64, line: String, there: &dyn Fn(&DrvPath) -> bool) -> Vec<Update> {
        let Some(drv) = self.activities.get(&id).cloned() else {
            // Of a build that ended, or of none: shown, not lost.
            return vec![Update::Message { level: 3, text: clean(line) }];
        };
        let line = clean(line);
        let mut updates = self.hear(&drv, there);
        if let Some(seen) = self.drvs.get_mut(&drv) {
            seen.tail.push(&line);
        }
        updates.extend(self.fraction(&drv, &line));
        updates.push(Update::Line { drv, line });
        updates
    }

    /// The fraction that a log line tells, if it moves the bar forward. A nested ninja
    /// (Vulkan's shader generator) counts fewer steps than the build around it.
    fn fraction(&mut self, drv: &DrvPath, line: &str) -> Option<Update> {
        let (done, total) = ninja_fraction(line)?;
        let seen = self.drvs.get_mut(drv)?;
        if let Some((seen_done, seen_total)) = seen.fraction {
            let (before, now) =
                (u64::from(seen_done) * u64::from(total), u64::from(done) * u64::from(seen_total));
            // A ninja of a few steps before the build's own.
            let aside = seen_total < 10 && total >= 10 * seen_total;
            if !aside && (total < seen_total || now <= before) {
                return None;
            }
        }
        seen.fraction = Some((done, total));
        Some(Update::Fraction { drv: drv.clone(), done, total })
    }

    fn fetched(&mut self) -> Vec<Update> {
        let changed = self.transfers.changed();
        changed.map(|(bytes, of)| Update::Fetched { bytes, of }).into_iter().collect()
    }

    /// Notes how many builds ended since this was last told.
    fn count(&mut self, done: u64, failed: u64, running: u64) {
        let built_now = done.saturating_sub(self.builds.1);
        let failed_now = failed.saturating_sub(self.builds.2);
        self.builds = (self.builds.0, done, failed);
        // A derivation that fails before its build begins was never running.
        let unknown = self.active().count().saturating_sub(self.unknown_ends.len());
        let mut ended = (unknown as u64).saturating_sub(running);
        for (count, failed) in [(built_now, false), (failed_now, true)] {
            for _ in 0..count.min(ended) {
                self.unknown_ends.push(UnknownEnd { failed, at: self.events });
            }
            ended -= count.min(ended);
        }
    }

    /// Builds that have begun and, as far as is known, not ended.
    fn active(&self) -> impl Iterator<Item = (&DrvPath, &Seen)> {
        self.drvs.iter().filter(|(_, seen)| !seen.ended)
    }

    fn pending(&self, failed: bool) -> usize {
        self.unknown_ends.iter().filter(|end| end.failed == failed).count()
    }

    /// Says which builds ended, where there is no other way to read it: as many as can have
    /// been are as many as were.
    fn settle(&mut self, there: &dyn Fn(&DrvPath) -> bool, updates: &mut Vec<Update>) {
        for failed in [false, true] {
            let Some(at) =
                self.unknown_ends.iter().filter(|e| e.failed == failed).map(|e| e.at).max()
            else {
                continue;
            };
            let candidates: Vec<DrvPath> = self
                .active()
                .filter(|(drv, seen)| seen.heard <= at && there(drv) != failed)
                .map(|(drv, _)| drv.clone())
                .collect();
            if candidates.len() == self.pending(failed) {
                self.unknown_ends.retain(|end| end.failed != failed);
                for drv in candidates {
                    self.end(&drv, failed, updates);
                }
            }
        }
    }

    /// What says something has not ended: that may tell which one has.
    fn hear(&mut self, drv: &DrvPath, there: &dyn Fn(&DrvPath) -> bool) -> Vec<Update> {
        let mut updates = vec![];
        let Some(seen) = self.drvs.get_mut(drv) else { return updates };
        if let Some(remote) = &mut seen.remote {
            remote.heard_at = self.now;
        }
        let before = std::mem::replace(&mut seen.heard, self.events);
        if self.unknown_ends.iter().any(|end| end.at >= before) {
            self.settle(there, &mut updates);
        }
        updates
    }

    fn end(&mut self, drv: &DrvPath, failed: bool, updates: &mut Vec<Update>) {
        let Some(seen) = self.drvs.get_mut(drv) else { return };
        if !std::mem::replace(&mut seen.ended, true) {
            (seen.ended_at, seen.remote) = (Some(self.now), None);
            updates.push(Update::Stopped { drv: drv.clone() });
        }
        if failed && !std::mem::replace(&mut seen.failed, true) {
            updates.push(Update::Failed { drv: drv.clone(), tail: seen.tail.lines() });
        }
    }

    /// Marks the build as failed that Nix's message about a failure names.
    fn blame(&mut self, message: &str) -> Vec<Update> {
        // Below that is what the build itself said.
        let own = message.split("log lines:").next().unwrap_or(message);
        let for_want = own.contains("dependencies of derivation") || own.contains("dependency fai");
        let named = |drv: &&DrvPath| own.contains(&format!("{drv}'"));
        let mut updates = vec![];
        if !for_want && let Some(drv) = self.drvs.keys().find(named).cloned() {
            // Nix says it once more at its end: it is one of those that ended.
            if self.drvs.get(&drv).is_some_and(|seen| !seen.ended)
                && let Some(at) = self.unknown_ends.iter().position(|end| end.failed)
            {
                self.unknown_ends.remove(at);
            }
            self.end(&drv, true, &mut updates);
        }
        updates
    }

    /// Forgets the activities of a `nix build` that has ended, before the next one.
    pub fn reset_activities(&mut self) {
        self.activities.clear();
        self.builds = (0, 0, 0);
        self.unknown_ends.clear();
        self.transfers = Transfers::default();
        for seen in self.drvs.values_mut() {
            (seen.running, seen.ended, seen.remote) = (0, true, None);
        }
    }

    /// The builds that failed, dependencies among them.
    pub fn failed(&self) -> impl Iterator<Item = &DrvPath> {
        self.drvs.iter().filter(|(_, seen)| seen.failed).map(|(drv, _)| drv)
    }

    pub fn has_failed(&self, drv: &DrvPath) -> bool {
        self.drvs.get(drv).is_some_and(|seen| seen.failed)
    }

    /// The builds that ended, and of which no failure is known.
    pub fn ended_well(&self) -> impl Iterator<Item = &DrvPath> {
        self.drvs.iter().filter(|(_, seen)| seen.ended && !seen.failed).map(|(drv, _)| drv)
    }

    /// Where it was built, as Nix names it; empty: here.
    pub fn machine(&self, drv: &DrvPath) -> &str {
        self.drvs.get(drv).map_or("", |seen| &seen.machine)
    }

    /// Wall-clock seconds of its last build.
    pub fn seconds(&self, drv: &DrvPath) -> f64 {
        let seconds = |seen: &Seen| seen.ended_at.unwrap_or(self.now) - seen.began_at;
        self.drvs.get(drv).map_or(0.0, seconds)
    }

    /// A build on another machine that has exceeded a limit, in seconds, and which one. Nix
    /// enforces these itself, here and on `ssh://` builders; it does not pass them on to an
    /// `ssh-ng://` builder, where a build could hang for ever (Nix 2.26).
    pub fn timed_out(
        &self,
        timeout: Option<u64>,
        max_silent_time: Option<u64>,
    ) -> Option<(DrvPath, String)> {
        let past = |since: f64, limit: Option<u64>| {
            limit.filter(|limit| self.now - since > *limit as f64 + MARGIN)
        };
        self.active().find_map(|(drv, seen)| {
            let remote = seen.remote.as_ref()?;
            let (seconds, of) = match past(remote.began_at, timeout) {
                Some(limit) => (limit, ""),
                None => (past(remote.heard_at, max_silent_time)?, " of silence"),
            };
            Some((drv.clone(), format!("timed out after {seconds} seconds{of}")))
        })
    }

    /// Whether a build of this derivation was begun.
    pub fn started(&self, drv: &DrvPath) -> bool {
        self.drvs.contains_key(drv)
    }

    pub fn was_substituted(&self, out: &StorePath) -> bool {
        self.substituted.contains(out)
    }

    pub fn tail(&self, drv: &DrvPath) -> Vec<String> {
        self.drvs.get(drv).map(|seen| seen.tail.lines()).unwrap_or_default()
    }

    /// Whether Nix began any build at all.
    pub fn idle(&self) -> bool {
        self.drvs.is_empty()
    }
}

/// `[12/345] Building …` → (12, 345).
fn ninja_fraction(line: &str) -> Option<(u32, u32)> {
    let inside = line.trim_start().strip_prefix('[')?;
    let (inside, _) = inside.split_once(']')?;
    let (done, total) = inside.split_once('/')?;
    let (done, total) = (done.trim().parse().ok()?, total.trim().parse().ok()?);
    (total > 0 && done <= total).then_some((done, total))
}

#[cfg(test)]
#[path = "tracker_tests.rs"]
mod tests;
