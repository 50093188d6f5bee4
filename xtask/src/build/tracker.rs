//! What a `nix build` does, followed event by event.
//!
//! Pure: no I/O, no clock.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::build::log_tail::Tail;
use crate::build::transfers::Transfers;
use crate::nix::log::Event;
use crate::nix::names::{DrvPath, StorePath};
use crate::ui::sanitize::sanitize;

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

impl Seen {
    /// Whether these steps move the bar forward. A nested ninja (Vulkan's shader generator)
    /// counts fewer steps than the build around it.
    fn advances(&self, (done, total): (u32, u32)) -> bool {
        let Some((seen_done, seen_total)) = self.fraction else { return true };
        // A ninja of a few steps before the build's own.
        let aside = seen_total < 10 && total >= 10 * seen_total;
        let [before, now] = [(seen_done, total), (done, seen_total)]
            .map(|(steps, of_other)| u64::from(steps) * u64::from(of_other));
        aside || total >= seen_total && now > before
    }
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
    /// What the event at hand has changed so far.
    updates: Vec<Update>,
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
                self.updates.push(Update::Substituting { path });
            }
            Event::TransferStarted { id, parent, kind } => {
                self.transfers.started(id, parent, kind);
            }
            Event::Expected { id, kind, bytes } => self.transfers.expect(id, kind, bytes),
            Event::Stopped { id } => self.stop(id, there),
            Event::BuildsStarted { id } => self.builds = (id, 0, 0),
            Event::Progress { id, done, expected, running, failed } => {
                if !self.transfers.progress(id, done, expected) && id == self.builds.0 {
                    self.count(done, failed, running);
                    self.updates.push(Update::Expecting { builds: expected + failed });
                    self.settle(there);
                }
            }
            Event::Phase { id, phase } => {
                if let Some(drv) = self.hear(id, there) {
                    if phase == "buildPhase"
                        && let Some(seen) = self.drvs.get_mut(&drv)
                    {
                        seen.fraction = None;
                    }
                    self.updates.push(Update::Phase { drv, phase: sanitize(phase).into_owned() });
                }
            }
            Event::LogLine { id, line } => self.line(id, sanitize(line).into_owned(), there),
            // Nix colours its messages whether or not there is a terminal.
            Event::Message { level, text } => {
                let text = sanitize(text).into_owned();
                if level == 0 {
                    self.attribute_error(&text);
                }
                self.updates.push(Update::Message { level, text });
            }
            Event::Raw(text) => {
                self.updates.push(Update::Message { level: 3, text: sanitize(text).into_owned() });
            }
            Event::Skipped => {}
        }
        let fetched = self.transfers.changed();
        self.updates.extend(fetched.map(|(bytes, of)| Update::Fetched { bytes, of }));
        std::mem::take(&mut self.updates)
    }

    fn start(&mut self, id: u64, drv: DrvPath, machine: String) {
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
            return;
        }
        seen.began_at = self.now;
        seen.machine.clone_from(&machine);
        self.updates.push(Update::Started { drv, machine });
    }

    fn stop(&mut self, id: u64, there: &dyn Fn(&DrvPath) -> bool) {
        self.transfers.stopped(id);
        if let Some(path) = self.substitutions.remove(&id) {
            self.updates.push(Update::Substituted { path });
        }
        let Some(drv) = self.activities.remove(&id) else { return };
        let Some(seen) = self.drvs.get_mut(&drv) else { return };
        seen.running = seen.running.saturating_sub(1);
        // The result is copied back after that, which is not the build's time.
        if seen.remote.as_ref().is_some_and(|remote| remote.id == id) {
            seen.remote = None;
        }
        if seen.running == 0 && !seen.ended {
            // Newer Nix reports first that one ended, then this.
            let failed = self.unknown_ends(true).next().is_some() && !there(&drv);
            self.settle_one(failed);
            self.end(&drv, failed);
            self.settle(there);
        }
    }

    fn line(&mut self, id: u64, line: String, there: &dyn Fn(&DrvPath) -> bool) {
        let Some(drv) = self.hear(id, there) else {
            // Of a build that ended, or of none.
            return self.updates.push(Update::Message { level: 3, text: line });
        };
        if let Some(seen) = self.drvs.get_mut(&drv) {
            seen.tail.push(&line);
            if let Some((done, total)) = ninja_fraction(&line).filter(|now| seen.advances(*now)) {
                seen.fraction = Some((done, total));
                self.updates.push(Update::Fraction { drv: drv.clone(), done, total });
            }
        }
        self.updates.push(Update::Line { drv, line });
    }

    /// Notes how many builds ended since the last report.
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

    fn unknown_ends(&self, failed: bool) -> impl Iterator<Item = u64> {
        self.unknown_ends.iter().filter(move |end| end.failed == failed).map(|end| end.at)
    }

    /// Removes one of the unknown ends, which is known now.
    fn settle_one(&mut self, failed: bool) {
        if let Some(at) = self.unknown_ends.iter().position(|end| end.failed == failed) {
            self.unknown_ends.remove(at);
        }
    }

    /// Ends the builds that must be those of the unknown ends, because no others can be.
    fn settle(&mut self, there: &dyn Fn(&DrvPath) -> bool) {
        for failed in [false, true] {
            let Some(last) = self.unknown_ends(failed).max() else { continue };
            let candidates: Vec<DrvPath> = self
                .active()
                .filter(|(drv, seen)| seen.heard <= last && there(drv) != failed)
                .map(|(drv, _)| drv.clone())
                .collect();
            if candidates.len() == self.unknown_ends(failed).count() {
                self.unknown_ends.retain(|end| end.failed != failed);
                candidates.iter().for_each(|drv| self.end(drv, failed));
            }
        }
    }

    /// The derivation of an activity that reports something. Since it has not ended, it may be
    /// clear now which one has.
    fn hear(&mut self, id: u64, there: &dyn Fn(&DrvPath) -> bool) -> Option<DrvPath> {
        let drv = self.activities.get(&id)?.clone();
        let seen = self.drvs.get_mut(&drv)?;
        if let Some(remote) = &mut seen.remote {
            remote.heard_at = self.now;
        }
        let before = std::mem::replace(&mut seen.heard, self.events);
        if self.unknown_ends.iter().any(|end| end.at >= before) {
            self.settle(there);
        }
        Some(drv)
    }

    fn end(&mut self, drv: &DrvPath, failed: bool) {
        let Some(seen) = self.drvs.get_mut(drv) else { return };
        if !std::mem::replace(&mut seen.ended, true) {
            (seen.ended_at, seen.remote) = (Some(self.now), None);
            self.updates.push(Update::Stopped { drv: drv.clone() });
        }
        if failed && !std::mem::replace(&mut seen.failed, true) {
            self.updates.push(Update::Failed { drv: drv.clone(), tail: seen.tail.lines() });
        }
    }

    /// Marks the build as failed that an error of Nix names.
    fn attribute_error(&mut self, message: &str) {
        // Below that is the build's own log.
        let own = message.split("log lines:").next().unwrap_or(message);
        if own.contains("dependencies of derivation") || own.contains("dependency fai") {
            return;
        }
        let named = |(drv, _): &(&DrvPath, &Seen)| own.contains(&format!("{drv}'"));
        if let Some((drv, seen)) = self.drvs.iter().find(named) {
            let (drv, known) = (drv.clone(), seen.ended);
            if !known {
                self.settle_one(true);
            }
            self.end(&drv, true);
        }
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
