//! The verdict: a new result against the one that is held to be good.
//!
//! Pure: no I/O, no clock.

use serde::{Deserialize, Serialize};

use crate::bench::document::LlamaCpp;
use crate::bench::results::{Record, Run, runs_of};
use crate::bench::statistics::bootstrap::{Ratio, paired, speed, unpaired};
use crate::findings::finding::Finding;
use crate::nix::names::StorePath;

/// "Under 1 % is noise", in percent.
pub const FLOOR: f64 = 1.0;
/// An interval that reaches further than this to either side, in percent, says little.
pub const CLEAR: f64 = 2.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Slower,
    Same,
    Faster,
}

/// How the samples that decided were taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// At different times: what else changed on the machine is in the change.
    Stored,
    /// Both builds in turns.
    SideBySide,
}

/// One test's change.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    pub test: String,
    pub verdict: Verdict,
    /// Of the speed; below zero is slower.
    pub change_percent: f64,
    /// Holds the change with 99 % confidence.
    pub interval_percent: [f64; 2],
    /// The mean of the fastest quarter of the processes, each by its fastest repetition.
    pub baseline_tokens_per_second: f64,
    pub tokens_per_second: f64,
    /// Processes: the baseline's and the new ones.
    pub rounds: [usize; 2],
}

impl Change {
    /// Whether further rounds would not tell much more.
    pub fn is_clear(&self) -> bool {
        let [low, high] = self.interval_percent;
        self.verdict != Verdict::Same || (high - low) / 2.0 <= CLEAR
    }
}

/// `baseline` of bench's document.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Baseline {
    pub date: String,
    pub rev: Option<String>,
    pub build: Option<u64>,
    pub store_path: StorePath,
    /// Whether the user saved it; else it is the last result.
    pub saved: bool,
    pub method: Method,
    /// Slower if a test is; faster if one is and none is slower.
    pub verdict: Verdict,
    /// Of the test that decided.
    pub change_percent: f64,
    pub tests: Vec<Change>,
    /// What was measured side by side: these samples are in no file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turns: Option<Turns>,
}

/// Both builds in turns.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Turns {
    /// Which random order they took, see bench/random.rs.
    pub seed: u64,
    pub tests: Vec<TurnsOfTest>,
}

/// Tokens per second, process by process; those of one index ran side by side.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TurnsOfTest {
    pub test: String,
    pub baseline: Vec<Vec<f64>>,
    pub new: Vec<Vec<f64>>,
}

impl Baseline {
    /// None where no test is in both.
    pub fn new(base: &Run, saved: bool, method: Method, tests: Vec<Change>) -> Option<Self> {
        let by_change = |one: &&Change, other: &&Change| {
            one.change_percent.abs().total_cmp(&other.change_percent.abs())
        };
        let verdicts = || tests.iter().map(|change| change.verdict);
        let verdict = match (verdicts().min()?, verdicts().max()?) {
            (Verdict::Slower, _) => Verdict::Slower,
            (_, most) => most,
        };
        let decided = tests.iter().filter(|change| change.verdict == verdict).max_by(by_change)?;
        let Record { date, llama_cpp: LlamaCpp { rev, build }, store_path, .. } =
            base.about.clone();
        let change_percent = decided.change_percent;
        Some(Self {
            date,
            rev,
            build,
            store_path,
            saved,
            method,
            verdict,
            change_percent,
            tests,
            turns: None,
        })
    }
}

/// What the new run is held against: what the user saved, else the last run of the same
/// host, model, flags, environment, backends, CPU and GPU that came to its end. `true`: saved.
pub fn choose(saved: &[Run], earlier: &[Run], new: &Run) -> Option<(Run, bool)> {
    let comparable = |run: &&Run| {
        run.about.run != new.about.run && run.about.comparable(&new.about) && run.is_whole(new)
    };
    let saved = saved.iter().rfind(comparable).map(|run| (run.clone(), true));
    saved.or_else(|| earlier.iter().rfind(comparable).map(|run| (run.clone(), false)))
}

/// The change of every test that both have.
pub fn changes(base: &Run, new: &Run, method: Method) -> Vec<Change> {
    let tests = new.tests.iter().filter_map(|new| {
        let base = base.test(&new.name)?;
        change(&new.name, &base.rounds, &new.rounds, method)
    });
    tests.collect()
}

pub fn change(test: &str, base: &[Vec<f64>], new: &[Vec<f64>], method: Method) -> Option<Change> {
    let ratio = match method {
        Method::Stored => unpaired(base, new)?,
        Method::SideBySide => paired(base, new)?,
    };
    let percent = |ratio: f64| (ratio - 1.0) * 100.0;
    let Ratio { estimate, low, high } = ratio;
    Some(Change {
        test: test.to_owned(),
        verdict: verdict(&ratio),
        change_percent: percent(estimate),
        interval_percent: [percent(low), percent(high)],
        baseline_tokens_per_second: speed(base)?,
        tokens_per_second: speed(new)?,
        rounds: [base.len(), new.len()],
    })
}

/// Only what lies wholly beyond the floor is a change.
pub fn verdict(ratio: &Ratio) -> Verdict {
    let floor = FLOOR / 100.0;
    if ratio.high < 1.0 - floor {
        Verdict::Slower
    } else if ratio.low > 1.0 + floor {
        Verdict::Faster
    } else {
        Verdict::Same
    }
}

/// What the user must know of it: a regression is an error.
pub fn findings(baseline: &Baseline, new: &Record) -> Vec<Finding> {
    let mut findings = vec![];
    let then = named(baseline.rev.as_deref(), baseline.build, &baseline.date);
    let same_build = baseline.store_path == new.store_path;
    let slower: Vec<String> = baseline
        .tests
        .iter()
        .filter(|change| change.verdict == Verdict::Slower)
        .map(|change| format!("{} {}", change.test, told(change)))
        .collect();
    let slower = slower.join(", ");
    if !slower.is_empty() && same_build {
        findings.push(Finding::warning(
            "machine-slower",
            format!("{slower} against {then}, though this is the very same build"),
            "the machine is slower, not llama.cpp: look at its load, its power profile and its \
             temperature, and measure again",
        ));
    } else if !slower.is_empty() {
        let LlamaCpp { rev, build } = &new.llama_cpp;
        let now = named(rev.as_deref(), *build, &new.date);
        let how = match baseline.method {
            Method::SideBySide => " (both builds in turns)",
            Method::Stored => " (measured at different times, so it may be the machine's)",
        };
        findings.push(Finding::error(
            "regression",
            format!("{slower}: {now} against {then}{how}"),
            next_step(baseline, new),
        ));
    }
    let unclear: Vec<String> = baseline
        .tests
        .iter()
        .filter(|change| !change.is_clear())
        .map(|change| format!("{} {}", change.test, told(change)))
        .collect();
    if !unclear.is_empty() {
        findings.push(Finding::warning(
            "noisy",
            format!("no change is found, and a large one could hide: {}", unclear.join(", ")),
            "measure when the machine is idle, or with more --rounds",
        ));
    }
    findings
}

fn next_step(baseline: &Baseline, new: &Record) -> String {
    let host = &new.host;
    match (&baseline.rev, &new.llama_cpp.rev) {
        (Some(good), Some(bad)) if good != bad => format!(
            "`cargo xtask bisect {host}` between {} and {} finds the commit; if it is meant so, \
             `cargo xtask bench {host} --save-baseline`",
            short(good),
            short(bad)
        ),
        _ => format!(
            "the revision is the same, so look at the host's options and at nixpkgs' compiler; \
             if it is meant so, `cargo xtask bench {host} --save-baseline`"
        ),
    }
}

/// `-9.8 % (-10.4 to -9.1)`
pub fn told(change: &Change) -> String {
    let [low, high] = change.interval_percent;
    format!("{:+.1} % ({low:+.1} to {high:+.1})", change.change_percent)
}

fn named(rev: Option<&str>, build: Option<u64>, date: &str) -> String {
    let build = build.filter(|build| *build > 0).map(|build| format!("b{build}"));
    let parts: Vec<String> = build.into_iter().chain(rev.map(short)).collect();
    let name = if parts.is_empty() { "a build".to_owned() } else { parts.join(" ") };
    format!("{name} of {}", date.get(..10).unwrap_or(date))
}

fn short(rev: &str) -> String {
    rev.chars().take(9).collect()
}

/// bench/HOST.baseline.json: the lines of the runs that were saved.
#[derive(Debug, Serialize, Deserialize)]
pub struct Saved {
    pub schema: u32,
    pub records: Vec<Record>,
}

impl Saved {
    /// # Errors
    /// A sentence: this is no such file.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Ok(Self { schema: 1, records: vec![] });
        }
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    pub fn runs(&self) -> Vec<Run> {
        runs_of(self.records.iter().cloned())
    }

    /// Puts a run in the place of those that it could be compared with.
    pub fn save(&mut self, lines: Vec<Record>) {
        let Some(new) = lines.first() else { return };
        self.records.retain(|old| !old.comparable(new));
        self.records.extend(lines);
    }
}

#[cfg(test)]
#[path = "baseline_tests.rs"]
mod tests;
