//! bench/HOST.jsonl: what was measured, a line for each test of each round, and the
//! runs that these lines make together.
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

impl Record {
    /// Reads a line. A killed run may leave half of one, a later version another schema.
    ///
    /// # Errors
    /// Why it is not a record.
    pub fn parse(line: &str) -> Result<Self, String> {
        /// In another schema, other fields may differ.
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

    /// Whoever can change the file could have written anything.
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

    /// Whether a result of one says something about the other: everything is the same
    /// but the build and the day.
    pub fn comparable(&self, other: &Self) -> bool {
        fn key(record: &Record) -> impl PartialEq + '_ {
            let Record { host, model, flags, env, backends, cpu, gpu, threads, .. } = record;
            (host, model, flags, env, backends, cpu, gpu, threads)
        }
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
    /// `lines`: those of one run, at least one.
    fn new(lines: Vec<Record>) -> Option<Self> {
        let mut samples = Samples::default();
        lines.iter().for_each(|line| samples.add(&line.results));
        Some(Self { about: lines.into_iter().next()?, samples })
    }

    /// Whether it has every test of `new`, in as many rounds as were asked for: no other run
    /// is compared with one that broke off.
    pub fn is_whole(&self, new: &Self) -> bool {
        let least = self.about.least_rounds.unwrap_or(1) as usize;
        new.samples.tests().all(|(test, _)| self.samples.of(test).len() >= least.max(1))
    }
}

/// As many builds as one run may measure in turn.
pub const NEIGHBOURS: usize = 64;

/// The lines of each run in the order of the file, the newest run first. `newest_first` is read
/// no further than until the lines of a run are together: they are neighbours but for another
/// build between them.
pub fn lines_by_run(
    mut newest_first: impl Iterator<Item = Record>,
) -> impl Iterator<Item = Vec<Record>> {
    let mut open: VecDeque<Vec<Record>> = VecDeque::new();
    iter::from_fn(move || {
        while open.len() <= NEIGHBOURS {
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

/// The runs of a file, the newest first; as [`lines_by_run`] reads it.
pub fn runs(newest_first: impl Iterator<Item = Record>) -> impl Iterator<Item = Run> {
    lines_by_run(newest_first).filter_map(Run::new)
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
    /// As [`lines_by_run`] reads it.
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
