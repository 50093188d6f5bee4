//! The verdict: a new result against the one that is held to be good.
//!
//! Pure: no I/O, no clock.

use serde::{Deserialize, Serialize};

use crate::bench::comparison::Samples;
use crate::bench::document::LlamaCpp;
use crate::bench::results::{Record, Run, runs};
use crate::findings::finding::Finding;
use crate::fleet::context::bisect_command;
use crate::nix::flake_input::{build_tag, short};
use crate::nix::names::StorePath;
use crate::statistics::{LEAST_PROCESSES, Ratio, is_enough, paired, speed, unpaired};
use crate::ui::units;

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

/// The one vocabulary of verdicts. `clear`: see [`Change::is_clear`].
pub fn in_words(verdict: Verdict, clear: bool) -> &'static str {
    match verdict {
        Verdict::Slower => "slower",
        Verdict::Faster => "faster",
        Verdict::Same if clear => "no change",
        Verdict::Same => "inconclusive",
    }
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
    /// `pp128 -9.8 % (-10.4 to -9.1)`
    pub fn in_words(&self) -> String {
        let Self { test, change_percent, interval_percent: [low, high], .. } = self;
        format!("{test} {change_percent:+.1} % ({low:+.1} to {high:+.1})")
    }

    /// Whether further rounds would not change the verdict.
    pub fn is_clear(&self) -> bool {
        is_enough(self.rounds) && is_clear(self.verdict, self.interval_percent)
    }
}

pub fn is_clear(verdict: Verdict, [low, high]: [f64; 2]) -> bool {
    verdict != Verdict::Same || (high - low) / 2.0 <= CLEAR
}

/// `baseline` of bench's document.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Baseline {
    pub date: String,
    #[serde(flatten)]
    pub llama_cpp: LlamaCpp,
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
    /// Which random order they took, see statistics/random.rs.
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
        let change_percent = decided.change_percent;
        let Record { date, llama_cpp, store_path, .. } = base.about.clone();
        let turns = None;
        Some(Self {
            date,
            llama_cpp,
            store_path,
            saved,
            method,
            verdict,
            change_percent,
            tests,
            turns,
        })
    }
}

/// What the new run is held against: what the user saved, else the last run of the same
/// host, model, flags, environment, backends, CPU and GPU that came to its end. `true`: saved.
/// Both have the newest first.
pub fn choose(
    mut saved: impl Iterator<Item = Run>,
    mut earlier: impl Iterator<Item = Run>,
    new: &Run,
) -> Option<(Run, bool)> {
    let comparable = |run: &Run| {
        run.about.run != new.about.run && run.about.comparable(&new.about) && run.is_whole(new)
    };
    let saved = saved.find(comparable).map(|run| (run, true));
    saved.or_else(|| earlier.find(comparable).map(|run| (run, false)))
}

/// Returns the change of every test that both have.
pub fn changes(base: &Samples, new: &Samples, method: Method) -> Vec<Change> {
    new.tests().filter_map(|(test, new)| change(test, base.of(test), new, method)).collect()
}

pub fn change(test: &str, base: &[Vec<f64>], new: &[Vec<f64>], method: Method) -> Option<Change> {
    let ratio = match method {
        Method::Stored => unpaired(base, new)?,
        Method::SideBySide => paired(base, new)?,
    };
    let percent = |ratio: f64| (ratio - 1.0) * 100.0;
    let Ratio { estimate, low, high } = ratio;
    let rounds = [base.len(), new.len()];
    Some(Change {
        test: test.to_owned(),
        verdict: if is_enough(rounds) { verdict(&ratio) } else { Verdict::Same },
        change_percent: percent(estimate),
        interval_percent: [percent(low), percent(high)],
        baseline_tokens_per_second: speed(base)?,
        tokens_per_second: speed(new)?,
        rounds,
    })
}

/// Only an interval that lies entirely beyond the floor is a change.
pub fn verdict(ratio: &Ratio) -> Verdict {
    let floor = FLOOR / 100.0;
    match ratio {
        Ratio { high, .. } if *high < 1.0 - floor => Verdict::Slower,
        Ratio { low, .. } if *low > 1.0 + floor => Verdict::Faster,
        _ => Verdict::Same,
    }
}

/// The changes for which this holds, in words.
pub fn list(changes: &[Change], wanted: impl Fn(&Change) -> bool) -> String {
    let words = changes.iter().filter(|change| wanted(change)).map(Change::in_words);
    words.collect::<Vec<_>>().join(", ")
}

/// What the user should know: a regression is an error. `testbed`: as it is typed.
pub fn findings(baseline: &Baseline, new: &Record, testbed: &str) -> Vec<Finding> {
    let tests = &baseline.tests;
    let slower = list(tests, |change| change.verdict == Verdict::Slower);
    let unclear = list(tests, |change| is_enough(change.rounds) && !change.is_clear());
    let few = list(tests, |change| !is_enough(change.rounds));
    let then = named(&baseline.llama_cpp, &baseline.date);
    let mut findings = vec![];
    if !slower.is_empty() && baseline.store_path == new.store_path {
        findings.push(Finding::warning(
            "machine-slower",
            format!("{slower} against {then}, although it is the same build"),
            "the machine is slower, not llama.cpp: check its load, power profile and \
             temperature, then measure again",
        ));
    } else if !slower.is_empty() {
        let how = match baseline.method {
            Method::SideBySide => " (both builds in turns)",
            Method::Stored => " (measured at different times: the machine may have changed)",
        };
        findings.push(Finding::error(
            "regression",
            format!("{slower}: {} against {then}{how}", named(&new.llama_cpp, &new.date)),
            next_step(baseline, new, testbed),
        ));
    }
    if !unclear.is_empty() {
        findings.push(Finding::warning(
            "noisy",
            format!("inconclusive: the machine is too noisy ({unclear})"),
            "measure when the machine is idle, or with more --rounds",
        ));
    }
    if !few.is_empty() {
        findings.push(Finding::warning(
            "noisy",
            format!("inconclusive: fewer than {LEAST_PROCESSES} rounds ({few})"),
            format!("measure with --rounds {LEAST_PROCESSES} or more"),
        ));
    }
    findings
}

/// The tests that are slower than the stored result, but not than its build in turns: then the
/// machine is slower, or what is stored is wrong.
pub fn not_confirmed(stored: &[Change], turns: &[Change]) -> Option<Finding> {
    let is_slower = |change: &Change| change.verdict == Verdict::Slower;
    let confirmed =
        |change: &Change| turns.iter().any(|turn| turn.test == change.test && is_slower(turn));
    let tests = list(stored, |change| is_slower(change) && !confirmed(change));
    (!tests.is_empty()).then(|| {
        Finding::warning(
            "machine-slower",
            format!("{tests} against the stored result, but not against its build in turns"),
            "the machine is slower, or the stored result is wrong: check the machine's load, power \
             profile and temperature, and who changed the file",
        )
    })
}

fn next_step(baseline: &Baseline, new: &Record, testbed: &str) -> String {
    let host = &new.host;
    let accept = format!("to accept it, run `cargo xtask bench{testbed} {host} --save-baseline`");
    match (&baseline.llama_cpp.rev, &new.llama_cpp.rev) {
        (Some(good), Some(bad)) if good != bad => {
            let command = bisect_command(testbed, None, good, bad, Some(host.as_str()), "bench");
            format!("find the commit with `{command}`; {accept}")
        }
        _ => format!(
            "the revision is the same: check the host's options and nixpkgs' compiler; {accept}"
        ),
    }
}

fn named(LlamaCpp { rev, build }: &LlamaCpp, date: &str) -> String {
    let build = build_tag(*build);
    let rev = rev.as_deref().map(|rev| short(rev).to_owned());
    let parts: Vec<String> = build.into_iter().chain(rev).collect();
    let name = if parts.is_empty() { "a build".to_owned() } else { parts.join(" ") };
    format!("{name} of {}", units::day(date))
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
        let saved: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        saved.records.iter().try_for_each(Record::check)?;
        Ok(saved)
    }

    /// The newest first.
    pub fn runs(self) -> impl Iterator<Item = Run> {
        runs(self.records.into_iter().rev())
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
