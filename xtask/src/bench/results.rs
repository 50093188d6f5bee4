//! bench/HOST.jsonl: what was measured, a line for each test of each round, and the
//! runs that these lines make together.
//!
//! Pure: no I/O, no clock.

use serde::{Deserialize, Serialize};

use crate::bench::comparison::Samples;
use crate::bench::document::LlamaCpp;
use crate::bench::llama_bench::{About, TestResult};
use crate::bench::measurement::{Model, Subject};
use crate::nix::names::{HostName, StorePath, VariantName};

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
    /// `NAME=VALUE` that it was started with, in the order of names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    pub results: Vec<TestResult>,
}

fn first_round() -> u32 {
    1
}

/// What every line of a run shares.
#[derive(Debug, Clone)]
pub struct Heading {
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
        heading: &Heading,
        subject: &Subject,
        round: u32,
        about: &About,
        result: &TestResult,
    ) -> Self {
        let Heading { run, date, target, model, flags, env, least_rounds } = heading.clone();
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
            threads: Some(about.threads),
            flags,
            env,
            results: vec![result.clone()],
        }
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

/// The lines of a file. What is no record is left out: a killed run may leave half a
/// line, a later version another schema.
pub fn records(text: &str) -> impl Iterator<Item = Record> {
    let records = text.lines().filter_map(|line| serde_json::from_str::<Record>(line).ok());
    records.filter(|record| record.schema == 1)
}

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
        match runs.iter_mut().rfind(same) {
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

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A line of host `a`.
    pub fn record(run: &str, test: &str, samples: &[f64]) -> Record {
        let mut line: Record = serde_json::from_str(
            r#"{"schema":1,"run":"","date":"2026-11-22T10:00:00Z","host":"a","target":"local",
            "variant":"cpu-znver5","backends":["cpu"],"microarch":"znver5",
            "storePath":"/nix/store/x","llamaCpp":{"rev":"5ad058a","build":2},
            "model":{"name":"m","params":1,"quantization":"q4_0","bytes":2},
            "cpu":"AMD EPYC","device":"AMD EPYC","threads":2,"flags":[],"results":[]}"#,
        )
        .unwrap();
        line.run = run.into();
        let mean = samples.iter().sum::<f64>() / samples.len() as f64;
        let samples = samples.to_vec();
        line.results =
            vec![TestResult { test: test.into(), tokens_per_second: mean, stddev: 0.0, samples }];
        line
    }

    #[test]
    fn lines_become_runs_and_what_is_no_record_is_passed_over() {
        let line = |run, test, samples: &[f64]| {
            serde_json::to_string(&record(run, test, samples)).unwrap() + "\n"
        };
        let half = line("r1", "pp128", &[1.0]);
        let text = [
            line("r1", "pp128", &[1.0, 2.0]),
            line("r1", "tg32", &[7.0]),
            line("r2", "pp128", &[3.0]),
            half[..half.len() / 2].to_owned() + "\n",
            "{\"schema\": 1}\n".to_owned(),
            line("r1", "pp128", &[4.0]).replace("\"schema\":1", "\"schema\":2"),
            line("r1", "pp128", &[1.5]).replace("\"round\":1,", ""),
        ]
        .concat();
        let runs = runs(&text);
        assert_eq!(runs.len(), 2);
        assert_eq!(runs[0].samples.of("pp128"), [vec![1.0, 2.0], vec![1.5]]);
        assert_eq!(runs[0].samples.of("tg32"), [[7.0]]);
        assert_eq!(runs[1].samples.tests().count(), 1);
    }

    #[test]
    fn only_the_build_may_differ() {
        let one = record("r1", "pp128", &[1.0]);
        let mut other = record("r2", "pp128", &[1.0]);
        other.store_path = StorePath::new("/nix/store/y");
        other.variant = VariantName::new("cpu-dispatch");
        other.llama_cpp.rev = None;
        assert!(one.comparable(&other));
        for change in [
            |r: &mut Record| r.flags.push("-fa".into()),
            |r: &mut Record| r.env.push("CUDA_VISIBLE_DEVICES=1".into()),
            |r: &mut Record| r.gpu = Some("llvmpipe".into()),
            |r: &mut Record| r.cpu = "another".into(),
            |r: &mut Record| r.model.quantization = None,
            |r: &mut Record| r.threads = Some(1),
        ] {
            let mut other = other.clone();
            change(&mut other);
            assert!(!one.comparable(&other));
        }
    }
}
