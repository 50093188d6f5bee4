//! What a `nix build` does, followed event by event.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use crate::domain::diagnose::strip_escapes;
use crate::domain::manifest::Selection;
use crate::domain::names::{DrvPath, HostName, StorePath, VariantName};
use crate::domain::nix_log::Event;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BuildState {
    Built,
    Substituted,
    Present,
    Failed,
    DependencyFailed,
    Unsupported,
    Interrupted,
}

impl BuildState {
    pub fn well(self) -> bool {
        matches!(self, Self::Built | Self::Substituted | Self::Present)
    }
}

/// One derivation to build, and who wants it.
#[derive(Debug, Clone)]
pub struct Build {
    pub variant: VariantName,
    pub hosts: Vec<HostName>,
    /// The flake's own packages that it is: `--packages`.
    pub packages: Vec<String>,
    pub system: String,
    pub backends: Vec<String>,
    pub drv: DrvPath,
    pub out: StorePath,
}

/// Hosts with equal variants share one build. In order of the first host's name.
pub fn distinct<'a>(
    selections: impl IntoIterator<Item = (&'a HostName, &'a Selection)>,
) -> Vec<Build> {
    let mut builds: Vec<Build> = vec![];
    for (host, selection) in selections {
        match builds.iter_mut().find(|build| build.drv == selection.drv_path) {
            Some(build) => build.hosts.push(host.clone()),
            None => builds.push(Build { hosts: vec![host.clone()], ..Build::of(selection) }),
        }
    }
    builds
}

/// Adds the flake's own packages; one that a host selects as well is the same build.
pub fn with_packages(mut builds: Vec<Build>, packages: &[(String, Selection)]) -> Vec<Build> {
    for (name, selection) in packages {
        match builds.iter_mut().find(|build| build.drv == selection.drv_path) {
            Some(build) => build.packages.push(name.clone()),
            None => {
                builds.push(Build { packages: vec![name.clone()], ..Build::of(selection) });
            }
        }
    }
    builds
}

impl Build {
    fn of(selection: &Selection) -> Self {
        Self {
            variant: selection.manifest.variant.clone(),
            hosts: vec![],
            packages: vec![],
            system: selection.manifest.system.clone(),
            backends: selection.manifest.backends.clone(),
            drv: selection.drv_path.clone(),
            out: selection.out_path.clone(),
        }
    }
}

/// What changed, for whoever draws it or keeps the log.
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
    /// Steps of ninja done and in all; neither runs backwards.
    Fraction {
        drv: DrvPath,
        done: u32,
        total: u32,
    },
    Line {
        drv: DrvPath,
        line: String,
    },
    Stopped {
        drv: DrvPath,
    },
    /// Some build has ended; Nix does not say which. See [`Tracker::end`].
    OneEnded,
    Substituting {
        path: StorePath,
    },
    Message {
        level: u64,
        text: String,
    },
}

/// What is remembered of one derivation.
#[derive(Debug, Default, Clone)]
struct Seen {
    running: u32,
    ended: bool,
    failed: bool,
    fraction: Option<(u32, u32)>,
    tail: Vec<String>,
}

/// Follows the events of one `nix build`.
#[derive(Debug, Default)]
pub struct Tracker {
    activities: HashMap<u64, DrvPath>,
    drvs: BTreeMap<DrvPath, Seen>,
    /// The activity whose progress counts builds, and how many had ended.
    builds: Option<(u64, u64)>,
    substituted: Vec<StorePath>,
}

/// Lines of log kept in memory for each derivation; the whole log is on disk.
const TAIL: usize = 25;

impl Tracker {
    pub fn feed(&mut self, event: Event) -> Option<Update> {
        match event {
            Event::BuildStarted { id, drv, machine } => {
                self.activities.insert(id, drv.clone());
                let seen = self.drvs.entry(drv.clone()).or_default();
                seen.running += 1;
                // A remote build is announced twice: here, and by the builder, nested.
                (seen.running == 1).then_some(Update::Started { drv, machine })
            }
            Event::SubstituteStarted { path, .. } => {
                self.substituted.push(path.clone());
                Some(Update::Substituting { path })
            }
            Event::Stopped { id } => {
                let drv = self.activities.remove(&id)?;
                let seen = self.drvs.get_mut(&drv)?;
                seen.running = seen.running.saturating_sub(1);
                if seen.running == 0 { self.end(&drv) } else { None }
            }
            Event::BuildsStarted { id } => {
                self.builds = Some((id, 0));
                None
            }
            Event::Progress { id, done, failed } => {
                let (builds, ended) = self.builds.as_mut().filter(|(builds, _)| *builds == id)?;
                let more = done + failed > *ended;
                (*builds, *ended) = (id, done + failed);
                more.then_some(Update::OneEnded)
            }
            Event::Phase { id, phase } => {
                Some(Update::Phase { drv: self.activities.get(&id)?.clone(), phase })
            }
            Event::LogLine { id, line } => {
                let drv = self.activities.get(&id)?.clone();
                self.line(drv, line)
            }
            // Nix colours its messages whether or not there is a terminal.
            Event::Message { level, text } => {
                Some(Update::Message { level, text: strip_escapes(&text) })
            }
            Event::Raw(text) => Some(Update::Message { level: 3, text: strip_escapes(&text) }),
            Event::Skipped => None,
        }
    }

    fn line(&mut self, drv: DrvPath, line: String) -> Option<Update> {
        let line = strip_escapes(&line);
        let seen = self.drvs.get_mut(&drv)?;
        if seen.tail.len() == TAIL {
            seen.tail.remove(0);
        }
        seen.tail.push(line.clone());
        Some(Update::Line { drv, line })
    }

    /// The fraction that a log line tells, if it moves the bar forward. A nested ninja
    /// (Vulkan's shader generator) counts fewer steps than the build around it.
    pub fn fraction(&mut self, drv: &DrvPath, line: &str) -> Option<Update> {
        let (done, total) = ninja_fraction(line)?;
        let seen = self.drvs.get_mut(drv)?;
        if let Some((seen_done, seen_total)) = seen.fraction
            && (total < seen_total || (total == seen_total && done <= seen_done))
        {
            return None;
        }
        seen.fraction = Some((done, total));
        Some(Update::Fraction { drv: drv.clone(), done, total })
    }

    /// Marks a build as ended, for whoever saw its output appear: Nix 2.26 says `stop` of
    /// all builds only when the last of them has ended.
    pub fn end(&mut self, drv: &DrvPath) -> Option<Update> {
        let seen = self.drvs.get_mut(drv).filter(|seen| !seen.ended)?;
        seen.ended = true;
        Some(Update::Stopped { drv: drv.clone() })
    }

    /// Marks the build as failed that Nix's message about a failure names.
    pub fn blame(&mut self, message: &str) -> Option<Update> {
        let named = |drv: &&DrvPath| message.contains(&format!("{drv}'"));
        let drv = self.drvs.keys().find(named)?.clone();
        self.drvs.get_mut(&drv)?.failed = true;
        self.end(&drv)
    }

    /// The builds that failed, dependencies among them.
    pub fn failed(&self) -> impl Iterator<Item = &DrvPath> {
        self.drvs.iter().filter(|(_, seen)| seen.failed).map(|(drv, _)| drv)
    }

    /// Whether a build of this derivation was begun.
    pub fn started(&self, drv: &DrvPath) -> bool {
        self.drvs.contains_key(drv)
    }

    pub fn was_substituted(&self, out: &StorePath) -> bool {
        self.substituted.contains(out)
    }

    pub fn tail(&self, drv: &DrvPath) -> Vec<String> {
        self.drvs.get(drv).map(|seen| seen.tail.clone()).unwrap_or_default()
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

/// `/nix/store/<hash>-llama-cpp-cpu-znver4-0.0.0.drv` → `llama-cpp-cpu-znver4-0.0.0`.
pub fn short_name(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    let name = name.split_once('-').map_or(name, |(_, rest)| rest);
    name.strip_suffix(".drv").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::nix_log::parse;

    fn drv() -> DrvPath {
        DrvPath::new("/nix/store/a.drv")
    }

    fn started(id: u64) -> Event {
        Event::BuildStarted { id, drv: drv(), machine: String::new() }
    }

    #[test]
    fn a_nested_remote_build_starts_and_stops_once() {
        let mut tracker = Tracker::default();
        assert!(tracker.feed(started(1)).is_some());
        assert_eq!(tracker.feed(started(2)), None);
        let line = Event::LogLine { id: 2, line: "x".into() };
        assert_eq!(tracker.feed(line), Some(Update::Line { drv: drv(), line: "x".into() }));
        assert_eq!(tracker.feed(Event::Stopped { id: 2 }), None);
        assert_eq!(tracker.feed(Event::Stopped { id: 1 }), Some(Update::Stopped { drv: drv() }));
    }

    #[test]
    fn a_build_ends_when_its_output_appears_and_only_once() {
        let mut tracker = Tracker::default();
        tracker.feed(Event::BuildsStarted { id: 7 });
        tracker.feed(started(1));
        let progress = |id, done, failed| Event::Progress { id, done, failed };
        assert_eq!(tracker.feed(progress(7, 0, 0)), None);
        assert_eq!(tracker.feed(progress(8, 1, 0)), None, "another activity's");
        assert_eq!(tracker.feed(progress(7, 1, 0)), Some(Update::OneEnded));
        assert_eq!(tracker.feed(progress(7, 1, 0)), None);
        assert_eq!(tracker.end(&drv()), Some(Update::Stopped { drv: drv() }));
        assert_eq!(tracker.feed(Event::Stopped { id: 1 }), None);
    }

    #[test]
    fn a_failure_is_laid_on_the_build_that_nix_names() {
        let mut tracker = Tracker::default();
        tracker.feed(started(1));
        assert_eq!(tracker.blame("error: builder for '/nix/store/b.drv' failed"), None);
        let blamed = tracker.blame("error: builder for '/nix/store/a.drv' failed with exit code 1");
        assert_eq!(blamed, Some(Update::Stopped { drv: drv() }));
        assert_eq!(tracker.failed().collect::<Vec<_>>(), [&drv()]);
    }

    #[test]
    fn a_fraction_never_runs_backwards() {
        let mut tracker = Tracker::default();
        tracker.feed(started(1));
        let mut at = |line: &str| match tracker.fraction(&drv(), line) {
            Some(Update::Fraction { done, total, .. }) => Some((done, total)),
            _ => None,
        };
        assert_eq!(at("[1/100] Building a"), Some((1, 100)));
        assert_eq!(at("[5/7] Building a shader"), None);
        assert_eq!(at("[2/100] Building b"), Some((2, 100)));
        assert_eq!(at("[2/100] Building b"), None);
        assert_eq!(at("[ 55%] Building"), None);
        assert_eq!(at("[9/3] nonsense"), None);
    }

    #[test]
    fn control_characters_of_a_build_do_not_reach_the_terminal() {
        let mut tracker = Tracker::default();
        tracker.feed(started(1));
        let update = tracker.feed(Event::LogLine { id: 1, line: "\x1b[2Ja\rb".into() });
        assert_eq!(update, Some(Update::Line { drv: drv(), line: "ab".into() }));
    }

    #[test]
    fn garbage_is_shown_and_nothing_breaks() {
        let mut tracker = Tracker::default();
        for line in ["@nix {", "", "@nix null", "@nix {\"action\":\"stop\",\"id\":99}"] {
            tracker.feed(parse(line.as_bytes()));
        }
        assert!(!tracker.started(&drv()));
    }

    #[test]
    fn a_store_path_is_shown_short() {
        assert_eq!(short_name("/nix/store/0c9x-llama-cpp-0.0.0.drv"), "llama-cpp-0.0.0");
    }
}
