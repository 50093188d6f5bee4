//! The outcome of `check`: every host that was asked for, in exactly one state.
//!
//! Pure: no I/O, no clock.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use crate::findings::finding::{Finding, Severity, none_is_an_error};
use crate::fleet::manifest::Selection;
use crate::nix::names::{DrvPath, HostName, VariantName};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostState {
    Ok,
    Finding,
    EvalError,
    Timeout,
    OutOfMemory,
    /// The host does not use the module.
    Unsupported,
}

/// As in the JSON.
impl fmt::Display for HostState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Finding => "finding",
            Self::EvalError => "eval-error",
            Self::Timeout => "timeout",
            Self::OutOfMemory => "out-of-memory",
            Self::Unsupported => "unsupported",
        })
    }
}

/// What became of one host's evaluation.
#[derive(Debug, Clone)]
pub enum Evaluated {
    Selected(Box<Selection>),
    /// Assertions of the module that do not hold.
    Problems(Vec<Finding>),
    Unsupported(Finding),
    Failed {
        state: HostState,
        finding: Finding,
    },
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HostReport {
    pub host: HostName,
    pub state: HostState,
    pub variant: Option<VariantName>,
    pub backends: Vec<String>,
    pub microarch: Option<String>,
    pub drv_path: Option<DrvPath>,
    /// Whether the variant is in this machine's store already.
    pub cached: bool,
    /// Spent on this host; an equal share where hosts were evaluated together.
    pub seconds: f64,
    pub cmake_flags: Vec<String>,
    pub findings: Vec<Finding>,
    /// `--full`: the derivation of the whole system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub toplevel: Option<DrvPath>,
}

/// A package of the flake's own, which no host need select: `--all-systems`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PackageReport {
    pub system: String,
    pub package: String,
    pub state: HostState,
    pub drv_path: Option<DrvPath>,
    pub findings: Vec<Finding>,
}

/// The attribute that it is.
impl fmt::Display for PackageReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "packages.{}.{}", self.system, self.package)
    }
}

#[derive(Debug, Serialize)]
pub struct CheckReport {
    pub schema: u32,
    pub command: &'static str,
    pub hosts: Vec<HostReport>,
    /// How many distinct derivations the hosts select.
    pub builds: usize,
    /// About the fleet, not about one host.
    pub findings: Vec<Finding>,
    /// Empty without `--all-systems`.
    pub packages: Vec<PackageReport>,
    pub ok: bool,
}

impl CheckReport {
    /// Missing is red: a host without an outcome is an evaluation error.
    pub fn new(
        asked: &[HostName],
        mut outcomes: BTreeMap<HostName, (Evaluated, f64)>,
        present: &BTreeSet<DrvPath>,
    ) -> Self {
        let hosts: Vec<HostReport> = asked
            .iter()
            .map(|host| {
                let (evaluated, seconds) = outcomes.remove(host).unwrap_or_else(|| {
                    let finding = Finding::error(
                        "no-answer",
                        "the evaluator exited without a result for this host",
                        "run the check again with -v; if it happens again, report a bug",
                    );
                    (Evaluated::Failed { state: HostState::EvalError, finding }, 0.0)
                });
                HostReport::new(host.clone(), evaluated, seconds, present)
            })
            .collect();
        let builds: BTreeSet<_> = hosts.iter().filter_map(|host| host.drv_path.as_ref()).collect();
        Self {
            schema: 1,
            command: "check",
            builds: builds.len(),
            findings: vec![],
            packages: vec![],
            ok: hosts.iter().all(HostReport::well),
            hosts,
        }
    }

    /// The same with more findings of its hosts; an error among them turns an ok one red.
    pub fn with(mut self, more: BTreeMap<HostName, Vec<Finding>>) -> Self {
        for (host, findings) in more {
            findings.into_iter().for_each(|finding| self.add(&host, finding));
        }
        self.settle()
    }

    /// A further finding about a host. An error takes its `ok` away.
    pub fn add(&mut self, host: &HostName, finding: Finding) {
        let is_error = finding.severity == Severity::Error;
        let state = if is_error { HostState::Finding } else { HostState::Ok };
        self.add_with_state(host, finding, state);
    }

    /// The same where the finding is that something of the host does not evaluate.
    pub fn add_with_state(&mut self, host: &HostName, finding: Finding, state: HostState) {
        if let Some(report) = self.hosts.iter_mut().find(|report| report.host == *host) {
            report.findings.push(finding);
            if matches!(report.state, HostState::Ok | HostState::Finding) && state != HostState::Ok
            {
                report.state = state;
            }
        }
    }

    /// Hosts that do not use the module are no fault of a fleet: nobody asked for them by
    /// name. They keep their state.
    pub fn allow_missing_module(mut self) -> Self {
        let lacking = self.hosts.iter_mut().filter(|host| host.state == HostState::Unsupported);
        lacking.for_each(|host| host.findings.retain(|finding| finding.code != NO_MODULE));
        self.settle()
    }

    /// To be called once all is in.
    pub fn settle(mut self) -> Self {
        self.ok = self.hosts.iter().all(HostReport::well)
            && self.packages.iter().all(|package| package.state == HostState::Ok)
            && none_is_an_error(&self.findings);
        self
    }
}

/// The finding of a host that does not use the module.
pub const NO_MODULE: &str = "no-module";

impl HostReport {
    /// A host without the module is well where nobody asked for it by name.
    pub fn well(&self) -> bool {
        matches!(self.state, HostState::Ok | HostState::Unsupported)
            && none_is_an_error(&self.findings)
    }

    /// One that has nothing to do with llama.cpp, and was not asked for by name.
    pub fn lacks_module(&self) -> bool {
        self.state == HostState::Unsupported && self.well()
    }

    fn new(
        host: HostName,
        evaluated: Evaluated,
        seconds: f64,
        present: &BTreeSet<DrvPath>,
    ) -> Self {
        let blank = Self {
            host,
            state: HostState::Ok,
            variant: None,
            backends: vec![],
            microarch: None,
            drv_path: None,
            cached: false,
            seconds,
            cmake_flags: vec![],
            findings: vec![],
            toplevel: None,
        };
        match evaluated {
            Evaluated::Problems(findings) => Self { state: HostState::Finding, findings, ..blank },
            Evaluated::Unsupported(finding) => {
                Self { state: HostState::Unsupported, findings: vec![finding], ..blank }
            }
            Evaluated::Failed { state, finding } => {
                Self { state, findings: vec![finding], ..blank }
            }
            Evaluated::Selected(selection) => {
                let findings = crate::check::variant_rules::selection(&selection);
                let in_order = none_is_an_error(&findings);
                Self {
                    state: if in_order { HostState::Ok } else { HostState::Finding },
                    variant: Some(selection.manifest.variant.clone()),
                    backends: selection.manifest.backends.clone(),
                    microarch: Some(selection.manifest.microarch.clone()),
                    cached: present.contains(&selection.drv_path),
                    drv_path: Some(selection.drv_path),
                    cmake_flags: selection.manifest.cmake_flags,
                    findings,
                    ..blank
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_nobody_answered_for_is_red() {
        let asked = [HostName::new("carbon")];
        let report = CheckReport::new(&asked, BTreeMap::new(), &BTreeSet::new());
        assert_eq!(report.hosts.len(), 1);
        assert_eq!(report.hosts[0].state, HostState::EvalError);
        assert!(!report.ok);
    }
}
