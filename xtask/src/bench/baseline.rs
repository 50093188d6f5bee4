//! Compares a new result with the baseline: the verdict and its findings.
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
use crate::statistics::{MIN_PROCESSES, Ratio, is_enough, paired, speed, unpaired};
use crate::ui::units;

/// Changes below this are noise, in percent.
pub const NOISE_FLOOR: f64 = 1.0;
/// If the interval contains a change of this, in percent, "no change" cannot be claimed.
pub const NOTICEABLE: f64 = 3.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Slower,
    Same,
    Faster,
}

/// Returns a verdict as all commands print it. `clear`: see [`Change::is_clear`].
pub fn in_words(verdict: Verdict, clear: bool) -> &'static str {
    match verdict {
        Verdict::Slower => "slower",
        Verdict::Faster => "faster",
        Verdict::Same if clear => "no change",
        Verdict::Same => "inconclusive",
    }
}

/// How the compared samples were measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// At different times, so that other changes of the machine are included.
    Stored,
    /// Both builds in turns.
    SideBySide,
}

/// The change of one test.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    pub test: String,
    pub verdict: Verdict,
    /// Change of the speed; negative is slower.
    pub change_percent: f64,
    /// 99 % confidence interval of the change.
    pub interval_percent: [f64; 2],
    /// Mean of the fastest quarter of the processes, each by its fastest repetition.
    pub baseline_tokens_per_second: f64,
    pub tokens_per_second: f64,
    /// Number of processes, of the baseline and of the new build.
    pub rounds: [usize; 2],
}

impl Change {
    /// `pp128 -9.8 % (-10.4 to -9.1)`
    pub fn in_words(&self) -> String {
        let Self { test, change_percent, interval_percent: [low, high], .. } = self;
        format!("{test} {change_percent:+.1} % ({low:+.1} to {high:+.1})")
    }

    /// Whether there are enough rounds for the verdict.
    pub fn is_clear(&self) -> bool {
        is_enough(self.rounds) && is_clear(self.verdict, self.interval_percent)
    }
}

/// Whether the interval, in percent, allows the verdict.
pub fn is_clear(verdict: Verdict, [low, high]: [f64; 2]) -> bool {
    verdict != Verdict::Same || (low > -NOTICEABLE && high < NOTICEABLE)
}

/// The comparison with the baseline, in bench's document.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Baseline {
    pub date: String,
    #[serde(flatten)]
    pub llama_cpp: LlamaCpp,
    pub store_path: StorePath,
    /// Whether the baseline was saved by `--save-baseline`; otherwise it is the last result.
    pub saved: bool,
    pub method: Method,
    /// Slower if a test is slower; faster if one is faster and none is slower.
    pub verdict: Verdict,
    /// Largest change with this verdict.
    pub change_percent: f64,
    pub tests: Vec<Change>,
    /// Samples of the side-by-side measurement, which are not in the results file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turns: Option<Turns>,
}

/// Samples of both builds, measured in turns.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Turns {
    /// Seed of the random order, see statistics/random.rs.
    pub seed: u64,
    pub tests: Vec<TurnsOfTest>,
}

/// Tokens per second of each process; those of the same index ran in the same round.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TurnsOfTest {
    pub test: String,
    pub baseline: Vec<Vec<f64>>,
    pub new: Vec<Vec<f64>>,
}

impl Baseline {
    /// Returns the comparison with these changes; None if there are none.
    pub fn new(base: &Run, saved: bool, method: Method, tests: Vec<Change>) -> Option<Self> {
        let by_size =
            |a: &&Change, b: &&Change| a.change_percent.abs().total_cmp(&b.change_percent.abs());
        let verdicts = || tests.iter().map(|change| change.verdict);
        let verdict = match (verdicts().min()?, verdicts().max()?) {
            (Verdict::Slower, _) => Verdict::Slower,
            (_, most) => most,
        };
        let largest = tests.iter().filter(|change| change.verdict == verdict).max_by(by_size)?;
        let Record { date, llama_cpp, store_path, .. } = base.about.clone();
        Some(Self {
            date,
            llama_cpp,
            store_path,
            saved,
            method,
            verdict,
            change_percent: largest.change_percent,
            tests,
            turns: None,
        })
    }
}

/// Chooses the baseline of a new run: the newest comparable run that was saved, or else the newest
/// complete comparable run. Returns whether it was saved. Both iterators give the newest run first.
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

/// Returns the changes of all tests that both have.
pub fn changes(base: &Samples, new: &Samples, method: Method) -> Vec<Change> {
    new.tests().filter_map(|(test, new)| change(test, base.of(test), new, method)).collect()
}

/// Returns the change of one test; None if either build has no samples.
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

/// Returns the verdict: a change only if the whole interval is beyond the noise floor.
pub fn verdict(ratio: &Ratio) -> Verdict {
    let floor = NOISE_FLOOR / 100.0;
    match ratio {
        Ratio { high, .. } if *high < 1.0 - floor => Verdict::Slower,
        Ratio { low, .. } if *low > 1.0 + floor => Verdict::Faster,
        _ => Verdict::Same,
    }
}

/// Lists the changes that match, in words.
pub fn list(changes: &[Change], is_listed: &dyn Fn(&Change) -> bool) -> String {
    let words = changes.iter().filter(|change| is_listed(change)).map(Change::in_words);
    words.collect::<Vec<_>>().join(", ")
}

/// Returns the findings of a comparison: an error for a regression, a warning for an inconclusive
/// test. `testbed` is the option of the commands in their help.
pub fn findings(baseline: &Baseline, new: &Record, testbed: &str) -> Vec<Finding> {
    let tests = &baseline.tests;
    let slower = list(tests, &|change| change.verdict == Verdict::Slower);
    let unclear = list(tests, &|change| is_enough(change.rounds) && !change.is_clear());
    let few = list(tests, &|change| !is_enough(change.rounds));
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
            format!("inconclusive: fewer than {MIN_PROCESSES} rounds ({few})"),
            format!("measure with --rounds {MIN_PROCESSES} or more"),
        ));
    }
    findings
}

/// Reports tests that are slower than the stored result, but not slower than its build in turns.
pub fn not_confirmed(stored: &[Change], turns: &[Change]) -> Option<Finding> {
    let is_slower = |change: &Change| change.verdict == Verdict::Slower;
    let confirmed =
        |change: &Change| turns.iter().any(|turn| turn.test == change.test && is_slower(turn));
    let tests = list(stored, &|change| is_slower(change) && !confirmed(change));
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

/// The file bench/HOST.baseline.json: the records of the saved runs.
#[derive(Debug, Serialize, Deserialize)]
pub struct Saved {
    pub schema: u32,
    pub records: Vec<Record>,
}

impl Saved {
    /// Parses the file; an empty one has no runs.
    ///
    /// # Errors
    /// A sentence: why it is not a baseline file.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Ok(Self { schema: 1, records: vec![] });
        }
        let saved: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        saved.records.iter().try_for_each(Record::check)?;
        Ok(saved)
    }

    /// Returns the runs, the newest first.
    pub fn runs(self) -> impl Iterator<Item = Run> {
        runs(self.records.into_iter().rev())
    }

    /// Adds a run and removes the runs that are comparable with it.
    pub fn save(&mut self, lines: Vec<Record>) {
        let Some(new) = lines.first() else { return };
        self.records.retain(|old| !old.comparable(new));
        self.records.extend(lines);
    }
}

#[cfg(test)]
#[path = "baseline_tests.rs"]
mod tests;
