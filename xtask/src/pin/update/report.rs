//! The report of an update.
//!
//! Pure: no I/O, no clock.

use std::collections::BTreeSet;

use semver::Version;
use serde::Serialize;

use crate::findings::finding::Finding;
use crate::findings::outcome::Outcome;
use crate::fleet::names::{HostName, VariantName};
use crate::nix::flake_input::Revision;
use crate::nix::names::DrvPath;
use crate::ui::units;
use crate::upstream::changes::Area;

/// The result of one host with the new revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostState {
    /// The derivation is the same.
    Unchanged,
    /// The derivation is new and was built.
    Changed,
    /// Evaluates, but cannot be built here.
    NotBuilt,
    /// Does not evaluate or build, or is slower.
    Fails,
    /// Fails, and is pinned to its current revision by `--allow-partial`, now or earlier.
    #[serde(rename = "held")]
    Pinned,
    /// Did not evaluate with the old revision either.
    FailedBefore,
}

impl HostState {
    pub fn name(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Changed => "changed",
            Self::NotBuilt => "not-built",
            Self::Fails => "fails",
            Self::Pinned => "pinned",
            Self::FailedBefore => "failed-before",
        }
    }
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HostUpdate {
    pub host: HostName,
    pub variant: Option<VariantName>,
    pub before: Option<DrvPath>,
    pub after: Option<DrvPath>,
    pub state: HostState,
    /// The revision to which the host is pinned.
    #[serde(rename = "heldAt", skip_serializing_if = "Option::is_none")]
    pub pinned_at: Option<Point>,
    /// The stage at which a pinned host failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_at: Option<Stage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closure_bytes_before: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closure_bytes_after: Option<u64>,
    /// The speeds of a canary before and after, by test.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub speeds: Vec<Speed>,
    pub findings: Vec<Finding>,
}

impl HostUpdate {
    pub fn new(host: HostName, state: HostState) -> Self {
        Self {
            host,
            variant: None,
            before: None,
            after: None,
            state,
            pinned_at: None,
            failed_at: None,
            closure_bytes_before: None,
            closure_bytes_after: None,
            speeds: vec![],
            findings: vec![],
        }
    }
}

/// The speeds of both revisions in one test of llama-bench, measured in turns on one machine.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Speed {
    pub test: String,
    /// Tokens per second.
    pub before: f64,
    pub after: f64,
    /// Estimated from the paired rounds.
    pub change_percent: f64,
}

impl Speed {
    /// Formats the speeds as `pp128 120.1 -> 121.0 tokens/s (+0.7 %)`, with this unit.
    pub fn describe(&self, unit: &str) -> String {
        let Self { test, before, after, change_percent } = self;
        format!("{test} {before:.1} -> {after:.1}{unit} ({change_percent:+.1} %)")
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LockState {
    Updated,
    #[default]
    Unchanged,
}

/// A stage of an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    Lock,
    Drift,
    Evaluate,
    Build,
    Bench,
    #[serde(rename = "hold")]
    Pin,
    Commit,
}

impl Stage {
    pub fn name(self) -> &'static str {
        match self {
            Self::Lock => "locking",
            Self::Drift => "source check",
            Self::Evaluate => "evaluation",
            Self::Build => "build",
            Self::Bench => "benchmark",
            Self::Pin => "pinning",
            Self::Commit => "commit",
        }
    }
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdateReport {
    pub schema: u32,
    pub command: &'static str,
    pub input: String,
    pub from: Point,
    pub to: Option<Point>,
    /// The number of commits between `from` and `to`, if the history can be read.
    pub commits: Option<u64>,
    /// Whether the new revision is an ancestor of the old one.
    pub backwards: bool,
    pub comparison: Option<String>,
    /// Upstream's changes by area.
    pub changes: Vec<Area>,
    pub hosts: Vec<HostUpdate>,
    /// Names of the parts of the hosts' packages that have a new derivation.
    pub rebuilt_parts: BTreeSet<String>,
    pub unchanged_parts: BTreeSet<String>,
    /// Findings about the input and the whole repository.
    pub findings: Vec<Finding>,
    /// Hosts that are no longer pinned.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub released: Vec<HostName>,
    pub lock: LockState,
    pub dry_run: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_at: Option<Stage>,
    /// The folder with the rejected lock file and its logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    pub ok: bool,
}

/// A revision in the report.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Point {
    pub rev: String,
    /// Date of the commit, UTC.
    pub date: Option<String>,
    pub build: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<Version>,
    #[serde(skip)]
    name: String,
}

impl Point {
    /// As [`Revision::name`].
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl From<&Revision> for Point {
    fn from(revision: &Revision) -> Self {
        Self {
            rev: revision.rev.clone(),
            date: revision.day(),
            build: revision.build.filter(|build| *build > 0),
            release: revision.release.clone(),
            name: revision.name(),
        }
    }
}

impl UpdateReport {
    pub fn new(input: &str, from: &Revision) -> Self {
        let (input, from) = (input.to_owned(), from.into());
        Self { schema: 1, command: "update", input, from, ok: true, ..Self::default() }
    }

    pub fn host(&mut self, name: &HostName) -> Option<&mut HostUpdate> {
        self.hosts.iter_mut().find(|it| it.host == *name)
    }

    /// Returns the changed hosts that are not built.
    pub fn not_built(&mut self) -> impl Iterator<Item = &mut HostUpdate> {
        self.hosts.iter_mut().filter(|host| host.state == HostState::NotBuilt)
    }

    fn in_state(&self, state: HostState) -> impl Iterator<Item = &HostUpdate> {
        self.hosts.iter().filter(move |host| host.state == state)
    }

    pub fn pinned(&self) -> impl Iterator<Item = &HostUpdate> {
        self.in_state(HostState::Pinned)
    }

    /// Pins the failed hosts that may be pinned; any other failure stops the update.
    pub fn pin_or_fail(&mut self, stage: Stage, may_stay_pinned: &BTreeSet<HostName>) {
        let mut stops = false;
        for host in self.hosts.iter_mut().filter(|host| host.state == HostState::Fails) {
            host.failed_at.get_or_insert(stage);
            if may_stay_pinned.contains(&host.host) {
                host.state = HostState::Pinned;
            } else {
                stops = true;
            }
        }
        if stops {
            self.fail_at(stage);
        }
    }

    /// Whether flake.lock already has the revision.
    pub fn stays(&self) -> bool {
        self.to.as_ref().is_none_or(|to| to.rev == self.from.rev)
    }

    pub fn outcome(&self) -> Outcome {
        let of_hosts = self.in_state(HostState::Fails).flat_map(|host| &host.findings);
        Outcome::new(self.ok, of_hosts.chain(&self.findings))
    }

    /// Formats the update as `b10453 -> b10570`.
    pub fn step(&self) -> String {
        format!("{} -> {}", self.from.name(), self.to.as_ref().map(Point::name).unwrap_or_default())
    }

    /// Formats the number of commits as `, 117 commits back`; empty if it is unknown.
    pub fn describe_commits(&self) -> String {
        let Some(commits) = self.commits else { return String::new() };
        let back = if self.backwards { " back" } else { "" };
        format!(", {}{back}", units::count(commits as usize, "commit"))
    }

    pub fn failing_hosts(&self) -> Vec<String> {
        self.in_state(HostState::Fails).map(|host| host.host.to_string()).collect()
    }

    pub fn fail(&mut self, stage: Stage, finding: Finding) {
        self.findings.push(finding);
        self.fail_at(stage);
    }

    pub fn fail_at(&mut self, stage: Stage) {
        self.failed_at.get_or_insert(stage);
        self.ok = false;
    }
}
