//! What a `nix build` does, followed event by event and noted in the derivations' records.
//!
//! Pure: no I/O, no clock.

use std::collections::{BTreeSet, HashMap};

use crate::build::derivations::{Activity, Derivation, Derivations, Remote, Stage};
use crate::build::transfers::Transfers;
use crate::build::variants::Build;
use crate::nix::log::Event;
use crate::nix::names::{DrvPath, StorePath};
use crate::ui::sanitize::sanitize;

/// One change, for the progress display and the logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Update {
    Started {
        drv: DrvPath,
        machine: String,
    },
    Phase {
        drv: DrvPath,
        phase: String,
    },
    /// Steps of ninja done and in all; neither decreases.
    Fraction {
        drv: DrvPath,
        done: u32,
        total: u32,
    },
    Line {
        drv: DrvPath,
        line: String,
    },
    /// Each `Started` has at most one, whatever became of the build.
    Stopped {
        drv: DrvPath,
    },
    /// Once for each build that failed, after its `Stopped`.
    Failed {
        drv: DrvPath,
        tail: Vec<String>,
    },
    Substituting {
        path: StorePath,
    },
    /// Bytes from binary caches; neither decreases.
    Fetched {
        bytes: u64,
        of: u64,
    },
    Message {
        level: u64,
        text: String,
    },
}

/// Seconds beyond a time limit in which Nix may enforce it itself.
const MARGIN: f64 = 3.0;

/// A build that ended while Nix has not reported which.
#[derive(Debug, Clone, Copy)]
struct UnknownEnd {
    failed: bool,
    /// The number of the event; builds heard of later have not ended.
    at: u64,
}

/// What one `nix build` has reported, beside the derivations' records.
#[derive(Debug, Default)]
pub struct Process {
    activities: HashMap<u64, DrvPath>,
    /// The activity whose progress counts builds; how many were built, how many failed.
    builds: (u64, u64, u64),
    /// Builds that it has announced, finished ones included.
    expects: u64,
    unknown_ends: Vec<UnknownEnd>,
    transfers: Transfers,
    substitutions: HashMap<u64, StorePath>,
}

/// Follows the events of one `nix build`, or of several, after each other or at once.
#[derive(Debug, Default)]
pub struct Tracker {
    now: f64,
    process: Process,
    pub derivations: Derivations,
    events: u64,
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

    /// Exchanges the process whose events are followed.
    pub fn switch(&mut self, process: &mut Process) {
        std::mem::swap(&mut self.process, process);
    }

    /// `there` is whether all outputs of a derivation are in the store: Nix 2.26 stops all
    /// builds' activities only when the last build has ended, and names the failed ones only
    /// then. What it reports at once is that one of them ended.
    pub fn follow(&mut self, event: Event, there: &dyn Fn(&DrvPath) -> bool) -> Vec<Update> {
        self.events += 1;
        match event {
            Event::BuildStarted { id, drv, machine } => self.start(id, drv, machine),
            Event::SubstituteStarted { id, path } => {
                self.process.transfers.substitution(id);
                self.process.substitutions.insert(id, path.clone());
                self.substituted.insert(path.clone());
                self.derivations.fetch(&path, self.now);
                self.updates.push(Update::Substituting { path });
            }
            Event::TransferStarted { id, parent, kind } => {
                self.process.transfers.started(id, parent, kind);
            }
            Event::Expected { id, kind, bytes } => self.process.transfers.expect(id, kind, bytes),
            Event::Stopped { id } => self.stop(id, there),
            Event::BuildsStarted { id } => self.process.builds = (id, 0, 0),
            Event::Progress { id, done, expected, running, failed } => {
                if !self.process.transfers.progress(id, done, expected)
                    && id == self.process.builds.0
                {
                    self.count(done, failed, running);
                    self.expect(expected + failed);
                    self.settle(there);
                }
            }
            Event::Phase { id, phase } => {
                if let Some(drv) = self.hear(id, there) {
                    let phase = sanitize(phase).into_owned();
                    self.derivations.entry(&drv).enter(&phase);
                    self.updates.push(Update::Phase { drv, phase });
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
        if let Some((bytes, of)) = self.process.transfers.grown() {
            let (bytes, of) = self.derivations.add_fetched(bytes, of);
            self.updates.push(Update::Fetched { bytes, of });
        }
        std::mem::take(&mut self.updates)
    }

    /// Notes how many builds the process has announced; the others' stay.
    fn expect(&mut self, builds: u64) {
        let before = std::mem::replace(&mut self.process.expects, builds);
        self.derivations.nix_expects = self.derivations.nix_expects - before + builds;
    }

    fn start(&mut self, id: u64, drv: DrvPath, machine: String) {
        self.process.activities.insert(id, drv.clone());
        let row = self.derivations.entry(&drv);
        let activity = row.activity.get_or_insert_default();
        activity.count += 1;
        activity.heard = self.events;
        if activity.count > 1 {
            let (began_at, heard_at) = (self.now, self.now);
            let is_remote = !row.machine.is_empty();
            activity.remote = is_remote.then_some(Remote { id, began_at, heard_at });
            return;
        }
        row.started = true;
        row.begin(machine.clone(), "", self.now);
        self.updates.push(Update::Started { drv, machine });
    }

    fn stop(&mut self, id: u64, there: &dyn Fn(&DrvPath) -> bool) {
        self.process.transfers.stopped(id);
        if let Some(path) = self.process.substitutions.remove(&id) {
            self.derivations.end_fetch(&path, self.now);
        }
        let Some(drv) = self.process.activities.remove(&id) else { return };
        let Some(activity) = &mut self.derivations.entry(&drv).activity else { return };
        activity.count = activity.count.saturating_sub(1);
        // The result is copied back after that, which is not the build's time.
        activity.remote.take_if(|remote| remote.id == id);
        if activity.count == 0 {
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
        let row = self.derivations.entry(&drv);
        row.tail.push(&line);
        if let Some((done, total)) = ninja_fraction(&line)
            && row.advance((done, total), self.now)
        {
            self.updates.push(Update::Fraction { drv: drv.clone(), done, total });
        }
        self.updates.push(Update::Line { drv, line });
    }

    /// Notes how many builds ended since the last report.
    fn count(&mut self, done: u64, failed: u64, running: u64) {
        let built_now = done.saturating_sub(self.process.builds.1);
        let failed_now = failed.saturating_sub(self.process.builds.2);
        self.process.builds = (self.process.builds.0, done, failed);
        // A derivation that fails before its build begins was never running.
        let unknown = self.active().count().saturating_sub(self.process.unknown_ends.len());
        let mut ended = (unknown as u64).saturating_sub(running);
        for (count, failed) in [(built_now, false), (failed_now, true)] {
            for _ in 0..count.min(ended) {
                self.process.unknown_ends.push(UnknownEnd { failed, at: self.events });
            }
            ended -= count.min(ended);
        }
    }

    /// Builds that the process has begun and, as far as is known, not ended.
    fn active(&self) -> impl Iterator<Item = (&DrvPath, &Activity)> {
        let rows = self.derivations.iter();
        let active = rows.filter_map(|(drv, row)| Some((drv, row.activity.as_ref()?)));
        active.filter(|(drv, _)| self.process.activities.values().any(|own| own == *drv))
    }

    fn unknown_ends(&self, failed: bool) -> impl Iterator<Item = u64> {
        self.process.unknown_ends.iter().filter(move |end| end.failed == failed).map(|end| end.at)
    }

    /// Removes one of the unknown ends, which is known now.
    fn settle_one(&mut self, failed: bool) {
        if let Some(at) = self.process.unknown_ends.iter().position(|end| end.failed == failed) {
            self.process.unknown_ends.remove(at);
        }
    }

    /// Ends the builds that must be those of the unknown ends, because no others can be.
    fn settle(&mut self, there: &dyn Fn(&DrvPath) -> bool) {
        for failed in [false, true] {
            let Some(last) = self.unknown_ends(failed).max() else { continue };
            let candidates: Vec<DrvPath> = self
                .active()
                .filter(|(drv, activity)| activity.heard <= last && there(drv) != failed)
                .map(|(drv, _)| drv.clone())
                .collect();
            if candidates.len() == self.unknown_ends(failed).count() {
                self.process.unknown_ends.retain(|end| end.failed != failed);
                candidates.iter().for_each(|drv| self.end(drv, failed));
            }
        }
    }

    /// The derivation of an activity that reports something. Since it has not ended, it may be
    /// clear now which one has.
    fn hear(&mut self, id: u64, there: &dyn Fn(&DrvPath) -> bool) -> Option<DrvPath> {
        let drv = self.process.activities.get(&id)?.clone();
        if let Some(activity) = &mut self.derivations.entry(&drv).activity {
            if let Some(remote) = &mut activity.remote {
                remote.heard_at = self.now;
            }
            let before = std::mem::replace(&mut activity.heard, self.events);
            if self.process.unknown_ends.iter().any(|end| end.at >= before) {
                self.settle(there);
            }
        }
        Some(drv)
    }

    fn end(&mut self, drv: &DrvPath, failed: bool) {
        let row = self.derivations.entry(drv);
        if row.activity.take().is_some() {
            row.end(self.now);
            self.updates.push(Update::Stopped { drv: drv.clone() });
        }
        if failed && row.stage != Stage::Failed {
            row.fail();
            self.updates.push(Update::Failed { drv: drv.clone(), tail: row.tail.lines() });
        }
    }

    /// Marks the build as failed that an error of Nix names.
    fn attribute_error(&mut self, message: &str) {
        // Below that is the build's own log.
        let own = message.split("log lines:").next().unwrap_or(message);
        if own.contains("dependencies of derivation") || own.contains("dependency fai") {
            return;
        }
        let named =
            |(drv, row): &(&DrvPath, &Derivation)| row.started && own.contains(&format!("{drv}'"));
        let found = self.derivations.iter().find(named);
        let found = found.map(|(drv, row)| (drv.clone(), row.activity.is_some()));
        if let Some((drv, runs)) = found {
            if runs {
                self.settle_one(true);
            }
            self.end(&drv, true);
        }
    }

    /// Prepares for a `nix build` of these, after the process's last one has ended.
    pub fn begin(&mut self, builds: &[&Build]) {
        self.expect(0);
        for drv in std::mem::take(&mut self.process).activities.values() {
            let row = self.derivations.entry(drv);
            if row.activity.take().is_some() {
                row.stage = Stage::Known;
            }
        }
        self.derivations.want(builds);
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
        self.active().find_map(|(drv, activity)| {
            let remote = activity.remote.as_ref()?;
            let (seconds, of) = match past(remote.began_at, timeout) {
                Some(limit) => (limit, ""),
                None => (past(remote.heard_at, max_silent_time)?, " of silence"),
            };
            Some((drv.clone(), format!("timed out after {seconds} seconds{of}")))
        })
    }

    pub fn was_substituted(&self, out: &StorePath) -> bool {
        self.substituted.contains(out)
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
