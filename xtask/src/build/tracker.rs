//! Follows the events of `nix build`, and updates the derivations' records.
//!
//! Pure: no I/O, no clock.

use std::collections::{BTreeSet, HashMap};

use crate::build::derivations::{Activity, Derivation, Derivations, Remote, Stage};
use crate::build::transfers::Transfers;
use crate::build::variants::Build;
use crate::nix::log::Event;
use crate::nix::names::{DrvPath, StorePath};
use crate::ui::sanitize::sanitize;

/// A change, for the progress display and the logs.
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
    /// Completed and total steps of ninja; neither decreases.
    Fraction {
        drv: DrvPath,
        done: u32,
        total: u32,
    },
    Line {
        drv: DrvPath,
        line: String,
    },
    /// The end of a build, successful or not: at most one per `Started`.
    Stopped {
        drv: DrvPath,
    },
    /// The failure of a build, once, after its `Stopped`.
    Failed {
        drv: DrvPath,
        tail: Vec<String>,
    },
    Substituting {
        path: StorePath,
    },
    /// Fetched and expected bytes from binary caches; neither decreases.
    Fetched {
        bytes: u64,
        of: u64,
    },
    Message {
        level: u64,
        text: String,
    },
}

/// Seconds after a time limit in which Nix may enforce it itself.
const MARGIN: f64 = 3.0;

/// The end of a build that Nix has not named yet.
#[derive(Debug, Clone, Copy)]
struct UnknownEnd {
    failed: bool,
    /// Number of the event. A build with a later event has not ended.
    at: u64,
}

/// The state of one `nix build` process, besides the derivations' records.
#[derive(Debug, Default)]
pub struct Process {
    activities: HashMap<u64, DrvPath>,
    /// The activity whose progress counts builds, and the numbers of built and failed ones.
    builds: (u64, u64, u64),
    /// Number of builds that it has announced, including finished ones.
    expects: u64,
    unknown_ends: Vec<UnknownEnd>,
    transfers: Transfers,
    substitutions: HashMap<u64, StorePath>,
}

/// Follows the events of `nix build` processes, sequential or parallel.
#[derive(Debug, Default)]
pub struct Tracker {
    now: f64,
    process: Process,
    pub derivations: Derivations,
    /// Number of events.
    events: u64,
    substituted: BTreeSet<StorePath>,
    /// Changes by the current event.
    updates: Vec<Update>,
}

impl Tracker {
    /// Sets the seconds since the start of the run.
    pub fn at(&mut self, now: f64) -> &mut Self {
        self.now = now;
        self
    }

    /// Swaps the state of the process whose events are followed.
    pub fn swap_process(&mut self, process: &mut Process) {
        std::mem::swap(&mut self.process, process);
    }

    /// Applies an event, and returns the changes. `is_built` returns whether all outputs of a
    /// derivation are in the store. It is needed because Nix 2.26 reports immediately that a
    /// build ended, but not which: it stops all activities and names failed builds only when the
    /// last build has ended.
    pub fn follow(&mut self, event: Event, is_built: &dyn Fn(&DrvPath) -> bool) -> Vec<Update> {
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
            Event::Stopped { id } => self.stop(id, is_built),
            Event::BuildsStarted { id } => self.process.builds = (id, 0, 0),
            Event::Progress { id, done, expected, running, failed } => {
                if !self.process.transfers.progress(id, done, expected)
                    && id == self.process.builds.0
                {
                    self.count(done, failed, running);
                    self.expect(expected + failed);
                    self.resolve_unknown_ends(is_built);
                }
            }
            Event::Phase { id, phase } => {
                if let Some(drv) = self.note_event(id, is_built) {
                    let phase = sanitize(phase).into_owned();
                    self.derivations.entry(&drv).enter(&phase);
                    self.updates.push(Update::Phase { drv, phase });
                }
            }
            Event::LogLine { id, line } => self.line(id, sanitize(line).into_owned(), is_built),
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

    /// Sets the number of builds that the process has announced.
    fn expect(&mut self, builds: u64) {
        let before = std::mem::replace(&mut self.process.expects, builds);
        self.derivations.nix_expects = self.derivations.nix_expects - before + builds;
    }

    fn start(&mut self, id: u64, drv: DrvPath, machine: String) {
        self.process.activities.insert(id, drv.clone());
        let row = self.derivations.entry(&drv);
        let activity = row.activity.get_or_insert_default();
        activity.count += 1;
        activity.last_event = self.events;
        if activity.count > 1 {
            let (began_at, last_event_at) = (self.now, self.now);
            let is_remote = !row.machine.is_empty();
            activity.remote = is_remote.then_some(Remote { id, began_at, last_event_at });
            return;
        }
        row.started = true;
        row.begin(machine.clone(), "", self.now);
        self.updates.push(Update::Started { drv, machine });
    }

    fn stop(&mut self, id: u64, is_built: &dyn Fn(&DrvPath) -> bool) {
        self.process.transfers.stopped(id);
        if let Some(path) = self.process.substitutions.remove(&id) {
            self.derivations.end_fetch(&path, self.now);
        }
        let Some(drv) = self.process.activities.remove(&id) else { return };
        let Some(activity) = &mut self.derivations.entry(&drv).activity else { return };
        activity.count = activity.count.saturating_sub(1);
        // The builder has finished. Copying the result back does not count as build time.
        activity.remote.take_if(|remote| remote.id == id);
        if activity.count == 0 {
            // Newer versions of Nix report before this that a build ended.
            let failed = self.unknown_ends(true).next().is_some() && !is_built(&drv);
            self.remove_unknown_end(failed);
            self.end(&drv, failed);
            self.resolve_unknown_ends(is_built);
        }
    }

    fn line(&mut self, id: u64, line: String, is_built: &dyn Fn(&DrvPath) -> bool) {
        let Some(drv) = self.note_event(id, is_built) else {
            // The build has ended, or the activity is not a build.
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

    /// Adds the ends of builds since the last report.
    fn count(&mut self, done: u64, failed: u64, running: u64) {
        let built_now = done.saturating_sub(self.process.builds.1);
        let failed_now = failed.saturating_sub(self.process.builds.2);
        self.process.builds = (self.process.builds.0, done, failed);
        // A derivation that failed before its build began was never active.
        let unknown = self.active().count().saturating_sub(self.process.unknown_ends.len());
        let mut ended = (unknown as u64).saturating_sub(running);
        for (count, failed) in [(built_now, false), (failed_now, true)] {
            for _ in 0..count.min(ended) {
                self.process.unknown_ends.push(UnknownEnd { failed, at: self.events });
            }
            ended -= count.min(ended);
        }
    }

    /// Returns the builds of the process that have not ended, as far as is known.
    fn active(&self) -> impl Iterator<Item = (&DrvPath, &Activity)> {
        let rows = self.derivations.iter();
        let active = rows.filter_map(|(drv, row)| Some((drv, row.activity.as_ref()?)));
        active.filter(|(drv, _)| self.process.activities.values().any(|own| own == *drv))
    }

    fn unknown_ends(&self, failed: bool) -> impl Iterator<Item = u64> {
        self.process.unknown_ends.iter().filter(move |end| end.failed == failed).map(|end| end.at)
    }

    /// Removes one unknown end after its build has become known.
    fn remove_unknown_end(&mut self, failed: bool) {
        if let Some(at) = self.process.unknown_ends.iter().position(|end| end.failed == failed) {
            self.process.unknown_ends.remove(at);
        }
    }

    /// Ends the builds of the unknown ends if there are exactly as many candidates.
    fn resolve_unknown_ends(&mut self, is_built: &dyn Fn(&DrvPath) -> bool) {
        for failed in [false, true] {
            let Some(last) = self.unknown_ends(failed).max() else { continue };
            let candidates: Vec<DrvPath> = self
                .active()
                .filter(|(drv, activity)| activity.last_event <= last && is_built(drv) != failed)
                .map(|(drv, _)| drv.clone())
                .collect();
            if candidates.len() == self.unknown_ends(failed).count() {
                self.process.unknown_ends.retain(|end| end.failed != failed);
                candidates.iter().for_each(|drv| self.end(drv, failed));
            }
        }
    }

    /// Records an event of an activity, and returns its derivation. The event shows that this
    /// build has not ended, which may resolve unknown ends.
    fn note_event(&mut self, id: u64, is_built: &dyn Fn(&DrvPath) -> bool) -> Option<DrvPath> {
        let drv = self.process.activities.get(&id)?.clone();
        if let Some(activity) = &mut self.derivations.entry(&drv).activity {
            if let Some(remote) = &mut activity.remote {
                remote.last_event_at = self.now;
            }
            let before = std::mem::replace(&mut activity.last_event, self.events);
            if self.process.unknown_ends.iter().any(|end| end.at >= before) {
                self.resolve_unknown_ends(is_built);
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

    /// Marks the build that an error of Nix names as failed.
    fn attribute_error(&mut self, message: &str) {
        // The build's log follows.
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
                self.remove_unknown_end(true);
            }
            self.end(&drv, true);
        }
    }

    /// Prepares for a new `nix build` of these builds, after the last one has ended.
    pub fn begin(&mut self, builds: &[&Build]) {
        self.expect(0);
        for drv in std::mem::take(&mut self.process).activities.values() {
            let row = self.derivations.entry(drv);
            if row.activity.take().is_some() {
                row.stage = Stage::Known;
            }
        }
        self.derivations.add_variants(builds);
    }

    /// Returns a build on another machine that has exceeded a limit (in seconds), and a message
    /// with the limit. Nix enforces the limits on this machine and on `ssh://` builders, but does
    /// not pass them to `ssh-ng://` builders, where a build could hang forever (Nix 2.26).
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
                None => (past(remote.last_event_at, max_silent_time)?, " of silence"),
            };
            Some((drv.clone(), format!("timed out after {seconds} seconds{of}")))
        })
    }

    pub fn was_substituted(&self, out: &StorePath) -> bool {
        self.substituted.contains(out)
    }
}

/// Parses ninja's steps: `[12/345] Building …` → (12, 345).
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
