//! The results file bench/HOST.jsonl: a record for each test of each round, and the runs that the
//! records belong to.
//!
//! Pure: no I/O, no clock.

use std::collections::VecDeque;
use std::iter;

use serde::{Deserialize, Serialize};

use crate::bench::comparison::Samples;
use crate::bench::document::LlamaCpp;
use crate::bench::llama_bench::TestResult;
use crate::bench::measurement::Model;
use crate::fleet::names::{HostName, VariantName};
use crate::nix::names::StorePath;
use crate::statistics::speed;
use crate::ui::units;

/// A line of the results file: one test of one llama-bench process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    pub schema: u32,
    /// The same on every line of a run, `<date>-<pid>`.
    pub run: String,
    pub date: String,
    /// Counted from 1; each round is a separate process.
    #[serde(default = "first_round")]
    pub round: u32,
    /// Minimum number of rounds of a complete run.
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
    /// Name of the GPU, or of the CPU if there is no GPU.
    pub device: String,
    #[serde(default)]
    pub threads: Option<u32>,
    /// llama-bench's arguments except the model, the tests and the repetitions.
    pub flags: Vec<String>,
    /// Variables of `--env`, sorted by name, each value as a digest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    pub results: Vec<TestResult>,
}

fn first_round() -> u32 {
    1
}

impl Record {
    /// Parses a line.
    ///
    /// # Errors
    /// Why it is not a record: a killed run may have truncated it, or a newer version written it.
    pub fn parse(line: &str) -> Result<Self, String> {
        /// The only field that every schema has.
        #[derive(Deserialize)]
        struct Schema {
            schema: u64,
        }
        let read = serde_json::from_str::<Self>(line);
        let schema = match &read {
            Ok(record) => record.schema.into(),
            Err(_) => serde_json::from_str(line).map_or(1, |Schema { schema }| schema),
        };
        if schema != 1 {
            return Err(format!("schema {schema} is unknown: a newer xtask wrote it"));
        }
        let record = read.map_err(|error| error.to_string())?;
        record.check()?;
        Ok(record)
    }

    /// Checks the values, since anyone who can commit may have edited the file.
    pub fn check(&self) -> Result<(), String> {
        if humantime::parse_rfc3339(&self.date).is_err() {
            return Err(format!("invalid date {:?}", self.date));
        }
        if self.results.is_empty() {
            return Err("no results".to_owned());
        }
        match self.results.iter().find(|result| !result.is_possible()) {
            Some(result) => Err(format!("{} has no samples, or impossible ones", result.test)),
            None => Ok(()),
        }
    }

    /// Whether the two differ only in the build and the date.
    pub fn comparable(&self, other: &Self) -> bool {
        fn key(record: &Record) -> impl PartialEq + '_ {
            let Record { host, model, flags, env, backends, cpu, gpu, threads, .. } = record;
            (host, model, flags, env, backends, cpu, gpu, threads)
        }
        key(self) == key(other)
    }
}

/// The records of one run of bench.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// The first record, for the fields that all records share.
    pub about: Record,
    pub samples: Samples,
}

impl Run {
    /// Returns the run of these records; None if there are none.
    fn new(lines: Vec<Record>) -> Option<Self> {
        let mut samples = Samples::default();
        lines.iter().for_each(|line| samples.add(&line.results));
        Some(Self { about: lines.into_iter().next()?, samples })
    }

    /// Whether it has enough rounds of every test of `new`; an aborted run is not a baseline.
    pub fn is_whole(&self, new: &Self) -> bool {
        let least = self.about.least_rounds.unwrap_or(1) as usize;
        new.samples.tests().all(|(test, _)| self.samples.of(test).len() >= least.max(1))
    }
}

/// Maximum number of runs or builds whose records may be interleaved in a file.
pub const MAX_INTERLEAVED: usize = 64;

/// Groups the records by run, the newest run first, each in the order of the file. `newest_first`
/// is read lazily, until no further record of a run can follow.
pub fn lines_by_run(
    mut newest_first: impl Iterator<Item = Record>,
) -> impl Iterator<Item = Vec<Record>> {
    let mut open: VecDeque<Vec<Record>> = VecDeque::new();
    iter::from_fn(move || {
        while open.len() <= MAX_INTERLEAVED {
            let Some(record) = newest_first.next() else { break };
            let same = |run: &&mut Vec<Record>| {
                (&run[0].run, &run[0].store_path) == (&record.run, &record.store_path)
            };
            match open.iter_mut().find(same) {
                Some(run) => run.push(record),
                None => open.push_back(vec![record]),
            }
        }
        let mut lines = open.pop_front()?;
        lines.reverse();
        Some(lines)
    })
}

/// Returns the runs of a file, the newest first; reads lazily like [`lines_by_run`].
pub fn runs(newest_first: impl Iterator<Item = Record>) -> impl Iterator<Item = Run> {
    lines_by_run(newest_first).filter_map(Run::new)
}

/// The newest run of a host, as `list` shows it.
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
    /// As `bench` prints it.
    pub tokens_per_second: f64,
}

impl LastBench {
    /// Returns the newest run; reads lazily like [`lines_by_run`].
    pub fn of(newest_first: impl Iterator<Item = Record>) -> Option<Self> {
        let Run { about: Record { run, date, .. }, samples } = runs(newest_first).next()?;
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
