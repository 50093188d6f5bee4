//! Evaluates the fleet before and after, builds what changed, and measures on canaries.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use crate::build::report::VariantReport;
use crate::build::variants::{Build, BuildState, distinct};
use crate::check::evaluation::{EvalOptions, evaluate};
use crate::check::outcomes::HostState as Evaluated;
use crate::check::report::{CheckReport, HostReport};
use crate::findings::finding::{Finding, none_is_an_error};
use crate::fleet::context::Context;
use crate::fleet::manifest::{Manifest, Part, Selection};
use crate::fleet::names::HostName;
use crate::nix::names::StorePath;
use crate::nix::store;
use crate::pin::update::report::{HostState, HostUpdate, Stage};
use crate::pin::update::{Update, view};
use crate::system::interrupt;
use crate::testbed::toolkits;
use crate::upstream::trial_fleet::{self, TrialFleet};

/// The evaluation of every host of the flake with one lock file.
pub struct Fleet {
    pub hosts: Vec<HostName>,
    reports: Vec<HostReport>,
    selections: BTreeMap<HostName, Selection>,
}

impl Fleet {
    pub fn before(context: &Context) -> Result<Self> {
        Self::evaluate(context, context.all_hosts()?.to_vec())
    }

    /// Evaluates the same hosts with a trial.
    pub fn of_trial(trial: &TrialFleet, before: &Self) -> Result<Self> {
        Self::evaluate(&trial.context, before.hosts.clone())
    }

    fn evaluate(context: &Context, hosts: Vec<HostName>) -> Result<Self> {
        let outcomes = evaluate(context, &hosts, EvalOptions::default())?;
        let selected = outcomes.selected();
        let selections =
            selected.map(|(host, selection)| (host.clone(), selection.clone())).collect();
        let reports = CheckReport::new(&hosts, outcomes, &BTreeSet::new()).hosts;
        Ok(Self { hosts, reports, selections })
    }

    pub fn manifests(&self) -> impl Iterator<Item = (&HostName, &Manifest)> {
        self.selections.iter().map(|(host, selection)| (host, &selection.manifest))
    }

    pub fn selection(&self, host: &HostName) -> Option<&Selection> {
        self.selections.get(host)
    }
}

/// Errors that the new revision's sources cause on single hosts.
pub type Drifts = BTreeMap<HostName, Finding>;

impl Update<'_> {
    /// Evaluates, builds and measures the trial until something fails, and adds it to the report.
    pub fn evaluate(&mut self, drifts: &Drifts) -> Result<Fleet> {
        let ui = &self.pin.context.ui;
        ui.status(format!("evaluating {} hosts with the new revision", self.before.hosts.len()));
        let after = Fleet::of_trial(&self.trial, &self.before)?;
        let reports = self.before.reports.iter().zip(&after.reports);
        self.report.hosts = reports.map(|(old, new)| compare(old, new)).collect();
        self.compare_parts(&after);
        view::announce_parts(ui, &self.report);
        for host in &mut self.report.hosts {
            if let Some(finding) = drifts.get(&host.host)
                && host.state != HostState::FailedBefore
            {
                host.state = HostState::Fails;
                host.failed_at = Some(Stage::Drift);
                host.findings.push(finding.clone());
            }
        }
        self.report.pin_or_fail(Stage::Evaluate, &self.may_stay_pinned);
        if self.report.ok && !self.args.dry_run {
            let machines = self.reach_canaries()?;
            // An unreachable canary is not pinned.
            self.report.pin_or_fail(Stage::Bench, &BTreeSet::new());
            if self.report.ok {
                let builds = self.changed(&after);
                self.record_builds(&trial_fleet::build(&self.trial, &builds)?);
                self.report.pin_or_fail(Stage::Build, &self.may_stay_pinned);
            }
            if self.report.ok {
                self.run_canaries(machines, &after)?;
                self.report.pin_or_fail(Stage::Bench, &self.may_stay_pinned);
            }
        } else {
            for host in self.report.not_built() {
                host.state = HostState::Changed;
            }
        }
        self.report_sizes(&after)?;
        interrupt::check()?;
        Ok(after)
    }

    /// Determines which parts of the packages Nix has to rebuild.
    fn compare_parts(&mut self, after: &Fleet) {
        let parts = |fleet: &Fleet| -> BTreeSet<Part> {
            fleet.manifests().flat_map(|(_, manifest)| manifest.parts.clone()).collect()
        };
        let (old, new) = (parts(&self.before), parts(after));
        let name = |part: &Part| part.name.clone();
        self.report.rebuilt_parts = new.difference(&old).map(name).collect();
        self.report.unchanged_parts = new.intersection(&old).map(name).collect();
    }

    /// Returns the distinct changed variants, except those that the testbed cannot build.
    fn changed(&mut self, after: &Fleet) -> Vec<Build> {
        let in_testbed = self.pin.context.in_testbed();
        let mut wanted = vec![];
        for host in self.report.not_built() {
            let Some(selection) = after.selection(&host.host) else { continue };
            let manifest = &selection.manifest;
            match toolkits::missing_for(&manifest.backends).filter(|_| in_testbed) {
                Some(toolkit) => host.findings.push(Finding::warning(
                    "not-built",
                    format!(
                        "{} was evaluated, not built: the testbed has no {} here",
                        manifest.variant, toolkit.name
                    ),
                    "build it with the real inputs",
                )),
                None => wanted.push((host.host.clone(), selection)),
            }
        }
        distinct(wanted.iter().map(|(host, selection)| (host, *selection)))
    }

    /// Adds the results of the builds to the report.
    fn record_builds(&mut self, variants: &[VariantReport]) {
        for host in &mut self.report.hosts {
            let builds = |variant: &&VariantReport| variant.build.hosts.contains(&host.host);
            let Some(variant) = variants.iter().find(builds) else { continue };
            host.closure_bytes_after = variant.closure_bytes;
            if variant.state.ok() {
                let is_ok = none_is_an_error(&variant.findings);
                host.state = if is_ok { HostState::Changed } else { HostState::Fails };
                host.findings.extend(variant.findings.clone());
            } else if variant.state == BuildState::Unsupported {
                host.findings.push(Finding::warning(
                    "not-built",
                    format!(
                        "{} was evaluated, not built: no builder for its system",
                        variant.build.variant
                    ),
                    "add a builder for its system to nix.conf",
                ));
            } else {
                host.state = HostState::Fails;
                host.findings.push(trial_fleet::not_built(variant));
            }
        }
    }

    fn report_sizes(&mut self, after: &Fleet) -> Result<()> {
        let selections = self.before.selections.values().chain(after.selections.values());
        let outputs = selections.map(|selection| selection.out_path.clone());
        let outputs: BTreeSet<StorePath> = outputs.filter(store::exists).collect();
        let valid = store::valid(&self.pin.context.flake.nix, &outputs)?;
        let size = |fleet: &Fleet, host: &HostName| {
            valid.get(&fleet.selection(host)?.out_path).and_then(|info| info.closure_size)
        };
        for host in &mut self.report.hosts {
            host.closure_bytes_before = size(&self.before, &host.host);
            host.closure_bytes_after = size(after, &host.host).or(host.closure_bytes_after);
        }
        Ok(())
    }
}

fn compare(old: &HostReport, new: &HostReport) -> HostUpdate {
    let works =
        |report: &HostReport| matches!(report.state, Evaluated::Ok | Evaluated::Unsupported);
    let state = match (works(old), works(new)) {
        (true, false) => HostState::Fails,
        (false, false) => HostState::FailedBefore,
        (_, true) if old.drv_path == new.drv_path => HostState::Unchanged,
        // Until it is built.
        (_, true) => HostState::NotBuilt,
    };
    HostUpdate {
        variant: new.variant.clone().or_else(|| old.variant.clone()),
        before: old.drv_path.clone(),
        after: new.drv_path.clone(),
        findings: if works(new) { vec![] } else { new.findings.clone() },
        ..HostUpdate::new(old.host.clone(), state)
    }
}
