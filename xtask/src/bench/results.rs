//! bench/HOST.jsonl: what was measured, a line for each test of each round, and the
//! runs that these lines make together.
//!
//! Pure: no I/O, no clock.

use serde::{Deserialize, Serialize};

use crate::bench::comparison::Samples;
use crate::bench::document::LlamaCpp;
use crate::bench::llama_bench::{About, IMPOSSIBLE, TestResult};
use crate::bench::measurement::{Model, Subject};
use crate::fleet::names::{HostName, VariantName};
use crate::nix::names::StorePath;
use crate::statistics::speed;
use crate::ui::units;

/// One line: one test, as one process of llama-bench measured it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    pub schema: u32,
    /// The same on every line of a run, `<date>-<pid>`.
    pub run: String,
    pub date: String,
    /// Counted from 1; each round is a process of its own.
    #[serde(default = "first_round")]
    pub round: u32,
    /// How many the run has when it is complete, at the least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub least_rounds: Option<u32>,
    pub host: HostName,
    pub target: String,
    pub variant: VariantName,
    pub backends: Vec<String>,
    pub microarch: String,
    pub store_path: StorePath,
    pub llama_cpp: LlamaCpp,
    pub model: Model,
    pub cpu: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<String>,
    /// The GPU, or the CPU where there is none.
    pub device: String,
    #[serde(default)]
    pub threads: Option<u32>,
    /// llama-bench's arguments, without the model, the tests and the repetitions.
    pub flags: Vec<String>,
    /// What it was started with, in the order of names, each value as a digest. Earlier
    /// versions wrote the values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    pub results: Vec<TestResult>,
}

fn first_round() -> u32 {
    1
}

/// What every line of a run shares.
#[derive(Debug, Clone)]
pub struct RunInfo {
    pub run: String,
    pub date: String,
    pub target: String,
    pub model: Model,
    pub flags: Vec<String>,
    pub env: Vec<String>,
    pub least_rounds: u32,
}

impl Record {
    pub fn new(
        run_info: &RunInfo,
        subject: &Subject,
        round: u32,
        about: &About,
        result: &TestResult,
    ) -> Self {
        let RunInfo { run, date, target, model, flags, env, least_rounds } = run_info.clone();
        let manifest = &subject.manifest;
        let gpu = Some(about.gpu.clone()).filter(|gpu| !gpu.is_empty());
        Self {
            schema: 1,
            run,
            date,
            round,
            least_rounds: Some(least_rounds),
            host: subject.host.clone(),
            target,
            variant: manifest.variant.clone(),
            backends: manifest.backends.clone(),
            microarch: manifest.microarch.clone(),
            store_path: subject.store_path.clone(),
            llama_cpp: LlamaCpp::new(manifest, Some(about)),
            model: model.completed(about),
            device: gpu.clone().unwrap_or_else(|| about.cpu.clone()),
            cpu: about.cpu.clone(),
            gpu,
            threads: result.threads().or(Some(about.threads)),
            flags,
            env,
            results: vec![result.clone()],
        }
    }

    fn parse(line: &str) -> Result<Self, String> {
        /// Read first: in another schema, other fields may differ.
        #[derive(Deserialize)]
        struct Schema {
            schema: u64,
        }
        let Schema { schema } = serde_json::from_str(line).map_err(|error| error.to_string())?;
        if schema != 1 {
            return Err(format!("schema {schema} is unknown: a newer xtask wrote it"));
        }
        let record: Self = serde_json::from_str(line).map_err(|error| error.to_string())?;
        if !is_date(&record.date) {
            return Err(format!("invalid date {:?}", record.date));
        }
        if record.results.is_empty() {
            return Err("no results".to_owned());
        }
        for TestResult { test, samples, .. } in &record.results {
            if samples.is_empty()
                || !samples.iter().all(|sample| (0.0..IMPOSSIBLE).contains(sample))
            {
                return Err(format!("{test} has no samples, or impossible ones"));
            }
        }
        Ok(record)
    }

    /// Whether a result of one says something about the other: everything is the same
    /// but the build and the day.
    pub fn comparable(&self, other: &Self) -> bool {
        let key = |record: &Self| {
            let Self { host, model, flags, env, backends, cpu, gpu, threads, .. } = record.clone();
            (host, model, flags, env, backends, cpu, gpu, threads)
        };
        key(self) == key(other)
    }
}

/// A run of bench, put together from its lines.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// The first line, for all that the lines share.
    pub about: Record,
    pub samples: Samples,
}

impl Run {
    /// Whether it has every test of `new`, in as many rounds as were asked for: no other run
    /// is compared with one that broke off.
    pub fn is_whole(&self, new: &Self) -> bool {
        let least = self.about.least_rounds.unwrap_or(1) as usize;
        new.samples.tests().all(|(test, _)| self.samples.of(test).len() >= least.max(1))
    }
}

/// Reads the lines of a results file, counted from 1: each a record, or why it is none. A
/// killed run may leave half a line, a later version another schema.
pub fn read(text: &str) -> impl Iterator<Item = (usize, Result<Record, String>)> {
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(number, line)| (number, Record::parse(line)))
}

/// The records of a file; damaged lines are left out.
pub fn records(text: &str) -> impl Iterator<Item = Record> {
    read(text).filter_map(|(_, record)| record.ok())
}

/// As many builds as one run may measure in turn.
pub const NEIGHBOURS: usize = 64;

/// The runs of a file in the order in which they began.
pub fn runs(text: &str) -> Vec<Run> {
    runs_of(records(text))
}

pub fn runs_of(records: impl Iterator<Item = Record>) -> Vec<Run> {
    let mut runs: Vec<Run> = vec![];
    for record in records {
        let same = |run: &&mut Run| {
            run.about.run == record.run && run.about.store_path == record.store_path
        };
        // Lines of one run are neighbours but for another build between them.
        match runs.iter_mut().rev().take(NEIGHBOURS).find(same) {
            Some(run) => run.samples.add(&record.results),
            None => {
                let mut samples = Samples::default();
                samples.add(&record.results);
                runs.push(Run { about: record, samples });
            }
        }
    }
    runs
}

/// `2026-11-22`, and whatever follows.
fn is_date(text: &str) -> bool {
    let shape = text.bytes().take(10).enumerate().all(|(index, byte)| match index {
        4 | 7 => byte == b'-',
        _ => byte.is_ascii_digit(),
    });
    shape && text.len() >= 10
}

/// What `list` shows: every test of the newest run.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LastBench {
    pub run: String,
    pub date: String,
    pub results: Vec<Speed>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Speed {
    pub test: String,
    /// The estimate, as `bench` prints it.
    pub tokens_per_second: f64,
}

impl LastBench {
    pub fn of(text: &str) -> Option<Self> {
        let Run { about: Record { run, date, .. }, samples } = runs(text).pop()?;
        let speed = |(test, rounds): (&str, &[Vec<f64>])| {
            Some(Speed { test: test.to_owned(), tokens_per_second: speed(rounds)? })
        };
        Some(Self { run, date, results: samples.tests().filter_map(speed).collect() })
    }
}

/// `pp128 11.0, tg32 5.0 (2026-11-12)`
impl std::fmt::Display for LastBench {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let speeds = self
            .results
            .iter()
            .map(|it| format!("{} {}", it.test, units::speed(it.tokens_per_second)));
        let speeds: Vec<String> = speeds.collect();
        write!(f, "{} ({})", speeds.join(", "), units::day(&self.date))
    }
}

#[cfg(test)]
#[path = "results_tests.rs"]
pub mod tests;
