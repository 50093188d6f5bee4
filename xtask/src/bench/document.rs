//! bench's document: what was measured, on what, and all that is wrong with it.
//!
//! Pure: no I/O, no clock.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

use crate::bench::baseline::Baseline;
use crate::bench::llama_bench::{About, Output, TestResult};
use crate::bench::measurement::{Model, Subject};
use crate::bench::memory_bandwidth::MemoryBandwidth;
use crate::bench::offload::Offload;
use crate::bench::output_check::rules::{Completion, Divergence};
use crate::bench::sweep::report::SweepReport;
use crate::bench::target_state::Conditions;
use crate::findings::finding::{Finding, none_is_an_error};
use crate::fleet::manifest::Manifest;
use crate::fleet::names::{HostName, VariantName};
use crate::nix::names::StorePath;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LlamaCpp {
    pub rev: Option<String>,
    pub build: Option<u64>,
}

impl LlamaCpp {
    pub fn new(manifest: &Manifest, about: Option<&About>) -> Self {
        let told = about.map(|about| about.build_number).filter(|build| *build > 0);
        Self { rev: manifest.rev.clone(), build: manifest.build.or(told) }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BenchReport {
    pub schema: u32,
    pub command: &'static str,
    pub host: HostName,
    pub target: String,
    pub variant: VariantName,
    pub microarch: String,
    pub store_path: StorePath,
    pub llama_cpp: LlamaCpp,
    pub model: Model,
    /// The GPU, or the CPU where there is none.
    pub device: Option<String>,
    /// None also where tests differ in it.
    pub threads: Option<u32>,
    /// `NAME=VALUE` of `--env`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    pub results: Vec<TestResult>,
    /// What the target was like when we came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conditions: Option<Conditions>,
    /// Of a GPU variant: where its model lay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offload: Option<Offload>,
    /// Of a CPU variant: what bounds its generation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bandwidth: Option<MemoryBandwidth>,
    /// What `--verify` found, a way through the kernels each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub verification: Vec<Divergence>,
    /// What `--verify` had both builds write.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion: Option<Completion>,
    /// All that llama-bench said on stderr, a file of this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// The file that the results were appended to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Baseline>,
    /// What `--sweep` went through; `results` are then those of the best.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sweep: Option<SweepReport>,
    pub findings: Vec<Finding>,
    /// Of the findings, those that were shown before the measurement began.
    #[serde(skip)]
    pub shown: Vec<Finding>,
    pub ok: bool,
}

impl BenchReport {
    pub fn new(
        subject: &Subject,
        target: &str,
        model: Model,
        output: Option<Output>,
        findings: Vec<Finding>,
    ) -> Self {
        let output = output.unwrap_or_default();
        let about = output.about.as_ref();
        let manifest = &subject.manifest;
        let mut report = Self {
            schema: 1,
            command: "bench",
            host: subject.host.clone(),
            target: target.to_owned(),
            variant: manifest.variant.clone(),
            microarch: manifest.microarch.clone(),
            store_path: subject.store_path.clone(),
            llama_cpp: LlamaCpp::new(manifest, about),
            model: match about {
                Some(about) => model.completed(about),
                None => model,
            },
            device: about.map(|about| about.device().to_owned()),
            threads: about.map(|about| about.threads).filter(|first| {
                output.results.iter().filter_map(TestResult::threads).all(|it| it == *first)
            }),
            env: vec![],
            ok: false,
            results: output.results,
            conditions: None,
            offload: None,
            memory_bandwidth: None,
            verification: vec![],
            completion: None,
            log: None,
            record: None,
            baseline: None,
            sweep: None,
            findings,
            shown: vec![],
        };
        report.settle();
        report
    }

    /// Takes in where the model of a GPU variant lay. What is caught already by the measurement's
    /// own account stays as it is.
    pub fn account_for(&mut self, offload: Offload, backends: &[String], args: &[String]) {
        if !self.findings.iter().any(|finding| finding.code == "device-fallback") {
            self.add(offload.fallback(backends, args, &self.target));
        }
        self.offload = Some(offload);
    }

    /// Adds findings; one that is there already is not repeated.
    pub fn add(&mut self, findings: impl IntoIterator<Item = Finding>) {
        for finding in findings {
            if !self.findings.contains(&finding) {
                self.findings.push(finding);
            }
        }
        self.settle();
    }

    /// Adds what was found around the measurement, ahead of its own.
    pub fn precede(&mut self, findings: impl IntoIterator<Item = Finding>) {
        self.findings.splice(..0, findings);
        self.settle();
    }

    /// After a change of the findings: what ended it is read before what made it worth less.
    pub fn settle(&mut self) {
        self.findings.sort_by_key(|finding| Reverse(finding.severity));
        self.ok = none_is_an_error(&self.findings) && !self.results.is_empty();
    }
}
