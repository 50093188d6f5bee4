//! Runs the rounds of a measurement, and appends each result to bench/HOST.jsonl before the next
//! test begins (with further arguments: after each round), so that a later failure loses nothing.

use std::collections::BTreeSet;
use std::hash::Hasher as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Error, Result};
use fnv::FnvHasher;

use crate::bench::comparison::Samples;
use crate::bench::document::{BenchReport, LlamaCpp};
use crate::bench::llama_bench::{About, TestResult};
use crate::bench::measure::{Results, Setup, measure};
use crate::bench::measurement::{Params, Subject};
use crate::bench::results::Record;
use crate::bench::results_file::ResultsFile;
use crate::findings::finding::{Finding, none_is_an_error};
use crate::statistics::MIN_PROCESSES;
use crate::system::json_lines;
use crate::system::resources::now;
use crate::ui::progress::Live;
use crate::ui::{Ui, units};

/// Default number of rounds: enough to find a slowdown of a few percent on a machine in use.
pub const ROUNDS: u32 = 10;
/// Default time after which [`MIN_ROUNDS`] are enough, so that a large model does not take an hour.
pub const TIME_BUDGET: Duration = Duration::from_secs(300);
const MIN_ROUNDS: u32 = MIN_PROCESSES as u32;

/// Measures a variant, and appends its results to the results file.
pub struct Recorder<'a> {
    pub records: &'a ResultsFile,
    pub setup: Setup<'a>,
    pub subject: &'a Subject,
    /// Identifies the run, on each of its lines.
    pub run: String,
    date: String,
    /// The first error of writing the results file.
    problem: Option<Error>,
}

impl<'a> Recorder<'a> {
    pub fn new(records: &'a ResultsFile, setup: Setup<'a>, subject: &'a Subject) -> Self {
        let date = units::utc(now());
        let run = format!("{date}-{}", std::process::id());
        Self { records, setup, subject, run, date, problem: None }
    }

    fn append(&mut self, round: u32, about: &About, result: &TestResult) {
        let record = self.record(round, about, result);
        if let Err(error) = json_lines::append(&self.records.results, &record) {
            self.problem.get_or_insert(error);
        }
    }

    fn record(&self, round: u32, about: &About, result: &TestResult) -> Record {
        let Setup { machine, model, params, .. } = self.setup;
        let Subject { host, manifest, store_path, .. } = self.subject;
        let mut env: Vec<String> = machine.env.iter().map(|pair| without_value(pair)).collect();
        env.sort();
        Record {
            schema: 1,
            run: self.run.clone(),
            date: self.date.clone(),
            round,
            least_rounds: Some(params.rounds.min(MIN_ROUNDS)),
            host: host.clone(),
            target: machine.target.name().to_owned(),
            variant: manifest.variant.clone(),
            backends: manifest.backends.clone(),
            microarch: manifest.microarch.clone(),
            store_path: store_path.clone(),
            llama_cpp: LlamaCpp::new(manifest, Some(about)),
            model: model.clone().completed(about),
            cpu: about.cpu.clone(),
            gpu: about.gpu.clone(),
            device: about.device().to_owned(),
            threads: result.threads().or(Some(about.threads)),
            flags: params.flags(&manifest.backends),
            env,
            results: vec![result.clone()],
        }
    }

    /// Runs llama-bench once per round. One process with more repetitions would not do: its samples
    /// share its memory layout and its start time.
    pub fn measure(&mut self) -> Result<BenchReport> {
        let Setup { ui, params, .. } = self.setup;
        let subject = self.subject;
        let started = Instant::now();
        let (mut whole, mut samples) = (None::<BenchReport>, Samples::default());
        let mut differing = BTreeSet::new();
        let live = Live::start(ui);
        // The live line replaces a line for each result.
        let quiet = Ui { quiet: ui.quiet || ui.bars, ..*ui };
        let setup = Setup { ui: &quiet, ..self.setup };
        for round in 1..=params.rounds {
            let what = format!("round {round} of {}", params.rounds);
            live.at(round - 1, params.rounds, &what);
            if params.rounds > 1 {
                quiet.status(what);
            }
            let mut append = |about: &About, result: &TestResult| self.append(round, about, result);
            let mut results =
                Results { differing, on_result: Some(&mut append), live: Some(&live) };
            let report = measure(setup, subject, &mut results)?;
            differing = results.differing;
            samples.add(&report.results);
            let found = report.findings.clone();
            // An error would come back in every round.
            let is_last = !none_is_an_error(&found) || is_time_up(params, round, started);
            whole.get_or_insert(report).add(found);
            if is_last {
                break;
            }
        }
        let mut whole = whole.context("--rounds is 0")?;
        whole.results = samples.results();
        whole.record = Some(self.records.results.display().to_string());
        whole.add(self.problem.take().map(|error| not_recorded("write the results", &error)));
        Ok(whole)
    }
}

/// Returns the finding that `what` failed, which leaves the measurement valid.
pub fn not_recorded(what: &str, error: &Error) -> Finding {
    Finding::error(
        "not-recorded",
        format!("cannot {what}: {error:#}"),
        "fix that, or pass another folder with --record; the results are shown here",
    )
}

/// Replaces the value of a `NAME=VALUE` with a short digest, enough to distinguish two values. The
/// results file is committed, and a value may be a secret.
fn without_value(pair: &str) -> String {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    let mut digest = FnvHasher::default();
    digest.write(value.as_bytes());
    format!("{name}=#{:06x}", digest.finish() & 0xff_ffff)
}

/// Whether the time budget is exceeded and the minimum number of rounds has run.
pub fn is_time_up(params: &Params, round: u32, started: Instant) -> bool {
    round >= MIN_ROUNDS && started.elapsed() > params.time_budget
}
