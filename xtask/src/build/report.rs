//! The report of `build-all`: every selected variant, in exactly one state.
//!
//! Pure: no I/O, no clock.

use serde::Serialize;

use crate::build::plan::Plan;
use crate::build::variants::{Build, BuildState};
use crate::check::report::HostReport;
use crate::findings::finding::Finding;
use crate::nix::names::StorePath;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VariantReport {
    #[serde(flatten)]
    pub build: Build,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub out_path: Option<StorePath>,
    pub state: BuildState,
    pub seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closure_bytes: Option<u64>,
    /// The builder, if another machine built it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    /// Number of attempts, if more than one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// Why it failed, in Nix's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Change of the closure size since the last build with its name on this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closure_change_bytes: Option<i64>,
    /// The GC root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// With `--push`: whether the other store has it now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pushed: Option<bool>,
    /// The name of the failed dependency, if the variant itself did not fail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_dependency: Option<String>,
    /// The name of the variant's part that failed, for example `ggml-cuda-sm75`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_part: Option<String>,
    /// The first error in the failed derivation's log, if one is found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_error: Option<String>,
    /// Findings about the finished build, for example about its CPU instructions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// Whether the end of its log was printed when it failed.
    #[serde(skip)]
    pub tail_shown: bool,
    /// The end of the failed derivation's log.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub log_tail: Vec<String>,
}

#[derive(Debug, Serialize)]
pub struct BuildReport {
    pub schema: u32,
    pub command: &'static str,
    pub variants: Vec<VariantReport>,
    /// Hosts that do not evaluate, as `check` reports them.
    pub hosts: Vec<HostReport>,
    /// CPU time of xtask itself, without Nix and the builds.
    #[serde(rename = "ownCpuSeconds")]
    pub own_cpu_seconds: f64,
    /// Findings about the run as a whole.
    pub findings: Vec<Finding>,
    pub ok: bool,
}

impl BuildReport {
    /// Returns the findings of the hosts that do not evaluate.
    pub fn host_findings(&self) -> impl Iterator<Item = (String, &Finding)> {
        self.hosts
            .iter()
            .flat_map(|host| host.findings.iter().map(|finding| (host.host.to_string(), finding)))
    }
}

/// The document of `--dry-run`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanReport<'a> {
    pub schema: u32,
    pub command: &'static str,
    pub dry_run: bool,
    #[serde(flatten)]
    pub plan: &'a Plan,
    /// Hosts that do not evaluate, as `check` reports them.
    pub hosts: &'a [HostReport],
    pub findings: &'a [Finding],
    pub ok: bool,
}

impl VariantReport {
    /// Describes the result, to be continued with the hosts or the reason.
    pub fn sentence(&self) -> String {
        match (&self.failed_dependency, &self.failed_part) {
            (Some(name), _) => format!("dependency {name} failed"),
            (None, Some(name)) if name != self.build.variant.as_str() => {
                format!("its part {name} failed")
            }
            (None, _) => self.state.sentence().to_owned(),
        }
    }

    /// Describes the failure, with the variant and what failed.
    pub fn failure(&self) -> String {
        let (variant, sentence) = (&self.build.variant, self.sentence());
        match self.state {
            BuildState::Failed if sentence == self.state.sentence() => {
                format!("{variant} failed to build")
            }
            BuildState::Failed | BuildState::DependencyFailed => {
                format!("{variant} failed to build: {sentence}")
            }
            _ => format!("{variant}: {sentence}"),
        }
    }

    /// Returns one line with the state, the hosts, and the first error or the reason.
    pub fn summary(&self) -> String {
        let text = format!("{} for {}", self.sentence(), self.build.wanted_by());
        let reason = self.reason.as_ref().and_then(|reason| reason.lines().next());
        match self.first_error.as_deref().or(reason) {
            Some(line) => format!("{text}: {line}"),
            None => text,
        }
    }
}
