//! The report of `check`: every selected host, in exactly one state.
//!
//! Pure: no I/O, no clock.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use crate::check::outcomes::{Evaluated, HostState, Outcomes, Unselected};
use crate::check::variant_rules;
use crate::findings::finding::{Finding, Severity, none_is_an_error};
use crate::findings::outcome::Outcome;
use crate::fleet::manifest::{Manifest, Part};
use crate::fleet::names::{HostName, VariantName};
use crate::nix::names::DrvPath;
use crate::ui::units;

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
    /// The parts of the package; empty if it is not built from parts.
    pub parts: Vec<PartReport>,
    /// Seconds of this host's evaluation; 0 if its result was cached.
    pub seconds: f64,
    pub cmake_flags: Vec<String>,
    pub findings: Vec<Finding>,
    /// With `--full`: the derivation of the whole system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub toplevel: Option<DrvPath>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PartReport {
    pub name: String,
    pub drv_path: DrvPath,
    pub cached: bool,
}

impl PartReport {
    pub fn of(manifest: &Manifest, present: &BTreeSet<DrvPath>) -> Vec<Self> {
        let report = |Part { name, drv_path, .. }: &Part| Self {
            name: name.clone(),
            drv_path: drv_path.clone(),
            cached: present.contains(drv_path),
        };
        manifest.parts.iter().map(report).collect()
    }

    /// Formats whether a package is in the store, for a table: `no`, `3 of 5 parts`, `yes`.
    pub fn in_store(cached: bool, parts: &[Self]) -> String {
        match parts.iter().filter(|part| part.cached).count() {
            _ if cached => "yes".to_owned(),
            0 => "no".to_owned(),
            count => format!("{count} of {} parts", parts.len()),
        }
    }
}

/// A package of the flake, for `--all-systems`; hosts need not select it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PackageReport {
    pub system: String,
    pub package: String,
    pub state: HostState,
    pub drv_path: Option<DrvPath>,
    pub findings: Vec<Finding>,
}

/// Writes the attribute's path.
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
    /// Number of distinct derivations that the hosts select.
    pub builds: usize,
    /// Findings about the fleet as a whole.
    pub findings: Vec<Finding>,
    /// Empty without `--all-systems`.
    pub packages: Vec<PackageReport>,
    pub ok: bool,
}

impl CheckReport {
    /// Creates a report about `hosts`. `present` are the derivations whose output is in the store.
    pub fn new(hosts: &[HostName], mut outcomes: Outcomes, present: &BTreeSet<DrvPath>) -> Self {
        let report = |host: &HostName| HostReport::new(host.clone(), outcomes.take(host), present);
        let hosts: Vec<HostReport> = hosts.iter().map(report).collect();
        let builds: BTreeSet<_> = hosts.iter().filter_map(|host| host.drv_path.as_ref()).collect();
        let builds = builds.len();
        let (findings, packages) = (vec![], vec![]);
        Self { schema: 1, command: "check", builds, findings, packages, ok: true, hosts }.settle()
    }

    /// Creates a report about `hosts`, of which the user named some or none. If the user named
    /// none, and some host uses the module, a host without it is not an error.
    pub fn for_named(
        named: &[String],
        hosts: &[HostName],
        outcomes: Outcomes,
        present: &BTreeSet<DrvPath>,
    ) -> Self {
        let may_lack_module = named.is_empty() && outcomes.any_uses_module();
        let mut report = Self::new(hosts, outcomes, present);
        for host in report.hosts.iter_mut().filter(|host| host.state == HostState::Unsupported) {
            host.findings.retain(|finding| finding.code != NO_MODULE || !may_lack_module);
        }
        report.settle()
    }

    /// Returns a line such as `3 of 4 hosts ok, 1 without the module, 2 distinct builds`.
    pub fn summary(&self) -> String {
        let count = |is: fn(&HostReport) -> bool| self.hosts.iter().filter(|host| is(host)).count();
        let lacking = count(HostReport::lacks_module);
        let without = match lacking {
            0 => String::new(),
            lacking => format!(", {lacking} without the module"),
        };
        format!(
            "{} of {} hosts ok{without}, {}",
            count(|host| host.state == HostState::Ok),
            self.hosts.len() - lacking,
            units::count(self.builds, "distinct build")
        )
    }

    /// Returns every finding with the host or package that it is about, or `fleet`.
    pub fn all_findings(&self) -> Vec<(String, &Finding)> {
        let fleet = std::iter::once(("fleet".to_owned(), &self.findings));
        let hosts = self.hosts.iter().map(|host| (host.host.to_string(), &host.findings));
        let packages = self.packages.iter().map(|it| (it.to_string(), &it.findings));
        let all = fleet.chain(hosts).chain(packages);
        all.flat_map(|(place, findings)| findings.iter().map(move |it| (place.clone(), it)))
            .collect()
    }

    pub fn outcome(&self) -> Outcome {
        Outcome::new(self.ok, self.all_findings().into_iter().map(|(_, finding)| finding))
    }

    /// Adds a finding about a host, which is no longer ok if the finding is an error.
    pub fn add(&mut self, host: &HostName, finding: Finding) {
        let is_error = finding.severity == Severity::Error;
        let state = if is_error { HostState::Finding } else { HostState::Ok };
        self.add_with_state(host, finding, state);
    }

    /// Adds a finding about a host that is in `state` because of it.
    pub fn add_with_state(&mut self, host: &HostName, finding: Finding, state: HostState) {
        if let Some(report) = self.hosts.iter_mut().find(|report| report.host == *host) {
            report.findings.push(finding);
            if matches!(report.state, HostState::Ok | HostState::Finding) && state != HostState::Ok
            {
                report.state = state;
            }
        }
    }

    /// Sets `ok`. Call it after adding findings.
    pub fn settle(mut self) -> Self {
        self.ok = self.hosts.iter().all(HostReport::is_ok)
            && self.packages.iter().all(|package| package.state == HostState::Ok)
            && none_is_an_error(&self.findings);
        self
    }
}

/// The code of the finding about a host that does not use the module.
pub const NO_MODULE: &str = "no-module";

impl HostReport {
    /// Returns whether there are no errors. A host without the module is ok unless the user named
    /// it.
    pub fn is_ok(&self) -> bool {
        matches!(self.state, HostState::Ok | HostState::Unsupported)
            && none_is_an_error(&self.findings)
    }

    /// Formats whether the variant is in the store, for a table.
    pub fn in_store(&self) -> String {
        match &self.drv_path {
            None => "-".to_owned(),
            Some(_) => PartReport::in_store(self.cached, &self.parts),
        }
    }

    /// Returns whether the host does not use the module, and the user did not name it.
    pub fn lacks_module(&self) -> bool {
        self.state == HostState::Unsupported && self.is_ok()
    }

    fn new(
        host: HostName,
        (evaluated, seconds): (Evaluated, f64),
        present: &BTreeSet<DrvPath>,
    ) -> Self {
        let (selection, state, findings) = match evaluated {
            Ok(selection) => {
                let findings = variant_rules::findings(&selection);
                let is_ok = none_is_an_error(&findings);
                let state = if is_ok { HostState::Ok } else { HostState::Finding };
                (Some(selection), state, findings)
            }
            Err(Unselected { state, findings }) => (None, state, findings),
        };
        let manifest = selection.as_ref().map(|selection| &selection.manifest);
        let drv_path = selection.as_ref().map(|selection| selection.drv_path.clone());
        Self {
            host,
            state,
            variant: manifest.map(|it| it.variant.clone()),
            backends: manifest.map(|it| it.backends.clone()).unwrap_or_default(),
            microarch: manifest.map(|it| it.microarch.clone()),
            cached: drv_path.as_ref().is_some_and(|drv| present.contains(drv)),
            drv_path,
            parts: manifest.map(|it| PartReport::of(it, present)).unwrap_or_default(),
            seconds,
            cmake_flags: manifest.map(|it| it.cmake_flags.clone()).unwrap_or_default(),
            findings,
            toplevel: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_without_a_result_is_an_error() {
        let hosts = [HostName::new("carbon")];
        let report = CheckReport::new(&hosts, Outcomes::default(), &BTreeSet::new());
        assert_eq!(report.hosts.len(), 1);
        assert_eq!(report.hosts[0].state, HostState::EvalError);
        assert!(!report.ok);
    }
}
