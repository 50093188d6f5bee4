//! The rounds of a measurement. Each test of each round is in bench/HOST.jsonl before the next
//! one begins, or with further arguments each round: what fails later loses nothing.

use std::collections::BTreeSet;
use std::hash::Hasher as _;
use std::time::{Duration, Instant};

use anyhow::{Error, Result};
use fnv::FnvHasher;

use crate::bench::document::BenchReport;
use crate::bench::llama_bench::{About, TestResult};
use crate::bench::measure::{Results, Setup, measure};
use crate::bench::measurement::{Params, Subject};
use crate::bench::results::{Record, RunInfo};
use crate::bench::results_file::ResultsFile;
use crate::findings::finding::{Finding, none_is_an_error};
use crate::statistics::LEAST_PROCESSES;
use crate::system::json_lines;
use crate::system::resources::now;
use crate::ui::progress::Live;
use crate::ui::{Ui, units};

/// What a slow-down of a few percent takes to be seen on a machine that is not idle.
pub const ROUNDS: u32 = 10;
/// A large model is not kept loading for an hour.
pub const PATIENCE: Duration = Duration::from_secs(300);
const LEAST_ROUNDS: u32 = LEAST_PROCESSES as u32;

/// Appends a run's results to the results file.
pub struct Recorder<'a> {
    pub records: &'a ResultsFile,
    pub run_info: RunInfo,
    /// The first that could not be written.
    problem: Option<Error>,
}

impl<'a> Recorder<'a> {
    pub fn new(records: &'a ResultsFile, setup: Setup, subject: &Subject) -> Self {
        let Setup { machine, model, params, .. } = setup;
        let date = units::utc(now());
        let mut env: Vec<String> = machine.env.iter().map(|pair| without_value(pair)).collect();
        env.sort();
        let run_info = RunInfo {
            run: format!("{date}-{}", std::process::id()),
            date,
            target: machine.target.name().to_owned(),
            model: model.clone(),
            flags: params.flags(&subject.manifest.backends),
            least_rounds: params.rounds.min(LEAST_ROUNDS),
            env,
        };
        Self { records, run_info, problem: None }
    }

    pub fn keep(&mut self, subject: &Subject, round: u32, about: &About, result: &TestResult) {
        let record = Record::new(&self.run_info, subject, round, about, result);
        if let Err(error) = json_lines::append(&self.records.results, &record) {
            self.problem.get_or_insert(error);
        }
    }

    /// Why results could not be written; the measurement is valid all the same.
    pub fn finding(&mut self) -> Option<Finding> {
        let error = self.problem.take()?;
        Some(Finding::error(
            "not-recorded",
            format!("cannot write the results: {error:#}"),
            "fix that, or pass another folder with --record; the results are shown here",
        ))
    }
}

/// The name of a `NAME=VALUE`, with enough of a digest to tell two values apart: the file is
/// committed, and a value may be a secret.
fn without_value(pair: &str) -> String {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    let mut digest = FnvHasher::default();
    digest.write(value.as_bytes());
    format!("{name}=#{:06x}", digest.finish() & 0xff_ffff)
}

/// As many processes of llama-bench as there are rounds: the samples of one process
/// share its memory layout and its moment, and say little about the next one's.
pub fn measure_rounds(
    setup: Setup,
    subject: &Subject,
    recorder: &mut Recorder,
) -> Result<BenchReport> {
    let Setup { ui, machine, model, params, .. } = setup;
    let llama_bench = machine.target.on_disk(&subject.llama_bench());
    let started = Instant::now();
    let mut whole: Option<BenchReport> = None;
    let mut differing = BTreeSet::new();
    let live = Live::start(ui);
    // The live line has the place of a line for each result.
    let quiet = Ui { quiet: ui.quiet || ui.bars, ..*ui };
    let setup = Setup { ui: &quiet, ..setup };
    for round in 1..=params.rounds {
        let what = format!("round {round} of {}", params.rounds);
        live.at(round - 1, params.rounds, &what);
        if params.rounds > 1 {
            quiet.status(what);
        }
        let mut keep =
            |about: &About, result: &TestResult| recorder.keep(subject, round, about, result);
        let mut results = Results { differing, keep: Some(&mut keep), live: Some(&live) };
        let report = measure(setup, subject, &llama_bench, &mut results)?;
        differing = results.differing;
        let well = none_is_an_error(&report.findings);
        match &mut whole {
            None => whole = Some(report),
            Some(whole) => whole.absorb(report),
        }
        // It would fail in every round.
        if !well || is_enough(params, round, started) {
            break;
        }
    }
    let target = machine.target.name();
    let mut whole =
        whole.unwrap_or_else(|| BenchReport::new(subject, target, model.clone(), None, vec![]));
    whole.findings.extend(recorder.finding());
    whole.record = Some(recorder.records.results.display().to_string());
    whole.ok &= none_is_an_error(&whole.findings);
    Ok(whole)
}

/// Whether these rounds are enough for the time they took.
pub fn is_enough(params: &Params, round: u32, started: Instant) -> bool {
    round >= LEAST_ROUNDS && started.elapsed() > params.patience
}
