//! bench's JSON document.
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
        let printed = about.map(|about| about.build_number).filter(|build| *build > 0);
        Self { rev: manifest.rev.clone(), build: manifest.build.or(printed) }
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
    /// Name of the GPU, or of the CPU if there is no GPU.
    pub device: Option<String>,
    /// Null if unknown, or if the tests ran with different numbers.
    pub threads: Option<u32>,
    /// `NAME=VALUE` of `--env`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    pub results: Vec<TestResult>,
    /// State of the target before the measurement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conditions: Option<Conditions>,
    /// Which devices held the model of a GPU variant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offload: Option<Offload>,
    /// Memory bandwidth, which limits the generation speed of a CPU variant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bandwidth: Option<MemoryBandwidth>,
    /// Results of `--verify`, one per code path (prompt, generation).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub verification: Vec<Divergence>,
    /// Texts that both builds generated for `--verify`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion: Option<Completion>,
    /// File with llama-bench's stderr, on this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// Results file that the results were appended to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Baseline>,
    /// Configurations of `--sweep`; `results` are then those of the best one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sweep: Option<SweepReport>,
    pub findings: Vec<Finding>,
    /// Findings that were printed before the measurement.
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
        report.refresh();
        report
    }

    /// Adds the placement of a GPU variant's model, and its finding unless the measurement has
    /// already reported a fallback.
    pub fn account_for(&mut self, offload: Offload, backends: &[String], args: &[String]) {
        if !self.findings.iter().any(|finding| finding.code == "device-fallback") {
            self.add(offload.fallback(backends, args, &self.target));
        }
        self.offload = Some(offload);
    }

    /// Adds findings, without duplicates.
    pub fn add(&mut self, findings: impl IntoIterator<Item = Finding>) {
        for finding in findings {
            if !self.findings.contains(&finding) {
                self.findings.push(finding);
            }
        }
        self.refresh();
    }

    /// Adds findings before those of the measurement.
    pub fn prepend(&mut self, findings: impl IntoIterator<Item = Finding>) {
        self.findings.splice(..0, findings);
        self.refresh();
    }

    /// Sorts the findings, errors first, and updates `ok`.
    pub fn refresh(&mut self) {
        self.findings.sort_by_key(|finding| Reverse(finding.severity));
        self.ok = none_is_an_error(&self.findings) && !self.results.is_empty();
    }
}
