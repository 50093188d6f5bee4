//! The outcome of `check`: every host that was asked for, in exactly one state.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::domain::finding::{Finding, none_is_an_error};
use crate::domain::manifest::Selection;
use crate::domain::names::{DrvPath, HostName, VariantName};

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
}

#[derive(Debug, Serialize)]
pub struct CheckReport {
    pub schema: u32,
    pub command: &'static str,
    pub hosts: Vec<HostReport>,
    /// How many distinct derivations the hosts select.
    pub builds: usize,
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
                        "the evaluator ended without a word about this host",
                        "run the check again with -v; report it if it stays",
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
            ok: hosts.iter().all(|host| host.state == HostState::Ok),
            hosts,
        }
    }

    /// The same with more findings of its hosts; an error among them turns an ok one red.
    pub fn with(mut self, mut more: BTreeMap<HostName, Vec<Finding>>) -> Self {
        for host in &mut self.hosts {
            host.findings.extend(more.remove(&host.host).unwrap_or_default());
            if host.state == HostState::Ok && !none_is_an_error(&host.findings) {
                host.state = HostState::Finding;
            }
        }
        self.ok = self.hosts.iter().all(|host| host.state == HostState::Ok);
        self
    }
}

impl HostReport {
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
                let findings = crate::domain::verify::selection(&selection);
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
