//! The rounds of a measurement. Each test of each round is in bench/HOST.jsonl before the next
//! one begins, or with further arguments each round: what fails later loses nothing.

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

/// Measures a variant, and appends its results to the results file.
pub struct Recorder<'a> {
    pub records: &'a ResultsFile,
    pub setup: Setup<'a>,
    pub subject: &'a Subject,
    /// The same on every line of the run, as its date is.
    pub run: String,
    date: String,
    /// The first that could not be written.
    problem: Option<Error>,
}

impl<'a> Recorder<'a> {
    pub fn new(records: &'a ResultsFile, setup: Setup<'a>, subject: &'a Subject) -> Self {
        let date = units::utc(now());
        let run = format!("{date}-{}", std::process::id());
        Self { records, setup, subject, run, date, problem: None }
    }

    fn keep(&mut self, round: u32, about: &About, result: &TestResult) {
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
            least_rounds: Some(params.rounds.min(LEAST_ROUNDS)),
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

    /// As many processes of llama-bench as there are rounds: the samples of one process
    /// share its memory layout and its moment, and say little about the next one's.
    pub fn measure(&mut self) -> Result<BenchReport> {
        let Setup { ui, params, .. } = self.setup;
        let subject = self.subject;
        let started = Instant::now();
        let (mut whole, mut samples) = (None::<BenchReport>, Samples::default());
        let mut differing = BTreeSet::new();
        let live = Live::start(ui);
        // The live line has the place of a line for each result.
        let quiet = Ui { quiet: ui.quiet || ui.bars, ..*ui };
        let setup = Setup { ui: &quiet, ..self.setup };
        for round in 1..=params.rounds {
            let what = format!("round {round} of {}", params.rounds);
            live.at(round - 1, params.rounds, &what);
            if params.rounds > 1 {
                quiet.status(what);
            }
            let mut keep = |about: &About, result: &TestResult| self.keep(round, about, result);
            let mut results = Results { differing, keep: Some(&mut keep), live: Some(&live) };
            let report = measure(setup, subject, &mut results)?;
            differing = results.differing;
            samples.add(&report.results);
            let found = report.findings.clone();
            // What is wrong would be in every round.
            let is_last = !none_is_an_error(&found) || is_enough(params, round, started);
            whole.get_or_insert(report).add(found);
            if is_last {
                break;
            }
        }
        let mut whole = whole.context("--rounds is 0")?;
        whole.results = samples.results();
        whole.record = Some(self.records.results.display().to_string());
        // The measurement is valid all the same.
        whole.add(self.problem.take().map(|error| not_recorded("write the results", &error)));
        Ok(whole)
    }
}

/// `what` failed; the report has the results all the same.
pub fn not_recorded(what: &str, error: &Error) -> Finding {
    Finding::error(
        "not-recorded",
        format!("cannot {what}: {error:#}"),
        "fix that, or pass another folder with --record; the results are shown here",
    )
}

/// The name of a `NAME=VALUE`, with enough of a digest to tell two values apart: the file is
/// committed, and a value may be a secret.
fn without_value(pair: &str) -> String {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    let mut digest = FnvHasher::default();
    digest.write(value.as_bytes());
    format!("{name}=#{:06x}", digest.finish() & 0xff_ffff)
}

/// Whether these rounds are enough for the time they took.
pub fn is_enough(params: &Params, round: u32, started: Instant) -> bool {
    round >= LEAST_ROUNDS && started.elapsed() > params.patience
}
