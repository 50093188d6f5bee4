//! The fleet before and the fleet as it would be, host by host: evaluated, built, and on
//! canaries measured.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use crate::build::report::VariantReport;
use crate::build::run as build_all;
use crate::build::variants::{Build, BuildState, distinct};
use crate::check::evaluation::{EvalOptions, Outcomes};
use crate::check::report::{CheckReport, Evaluated};
use crate::check::{evaluation as evaluate, report as check};
use crate::findings::finding::Finding;
use crate::fleet::context::Context;
use crate::fleet::manifest::{Manifest, Part, Selection};
use crate::nix::names::{HostName, StorePath};
use crate::nix::store;
use crate::pin::args::UpdateArgs;
use crate::pin::update::report::{HostState, HostUpdate, Stage, UpdateReport};
use crate::pin::update::{canary, partial, view};
use crate::system::interrupt;
use crate::testbed::inputs as testbed;
use crate::upstream::trial_fleet::{self, PinState, TrialFleet};

/// Every host of the flake with one lock file.
pub struct Fleet {
    pub hosts: Vec<HostName>,
    selections: BTreeMap<HostName, Selection>,
    reports: BTreeMap<HostName, check::HostReport>,
}

impl Fleet {
    pub fn before(context: &Context) -> Result<Self> {
        let hosts = context.all_hosts()?.to_vec();
        let outcomes = evaluate::evaluate(context, &hosts, EvalOptions::default())?;
        Ok(Self::of(hosts, outcomes))
    }

    fn of(hosts: Vec<HostName>, outcomes: Outcomes) -> Self {
        let selection = |(host, (evaluated, _)): (&HostName, &(Evaluated, f64))| match evaluated {
            Evaluated::Selected(selection) => Some((host.clone(), selection.as_ref().clone())),
            _ => None,
        };
        let selections = outcomes.iter().filter_map(selection).collect();
        let report = CheckReport::new(&hosts, outcomes, &BTreeSet::new());
        let reports = report.hosts.into_iter().map(|it| (it.host.clone(), it)).collect();
        Self { hosts, selections, reports }
    }

    /// The same hosts of a trial.
    pub fn of_trial(trial: &TrialFleet, like: &Self) -> Result<Self> {
        let outcomes = evaluate::evaluate(&trial.context, &like.hosts, EvalOptions::default())?;
        Ok(Self::of(like.hosts.clone(), outcomes))
    }

    pub fn manifests(&self) -> impl Iterator<Item = (&HostName, &Manifest)> {
        self.selections.iter().map(|(host, selection)| (host, &selection.manifest))
    }

    pub fn selection(&self, host: &HostName) -> Option<&Selection> {
        self.selections.get(host)
    }

    fn is_ok(&self, host: &HostName) -> bool {
        let state = self.reports.get(host).map(|report| report.state);
        matches!(state, Some(check::HostState::Ok | check::HostState::Unsupported))
    }
}

/// Takes the trial as far as it goes, and tells it to the report.
pub fn run(
    args: &UpdateArgs,
    pin: &PinState<'_>,
    trial: &TrialFleet,
    before: &Fleet,
    drifts: &Drifts,
    report: &mut UpdateReport,
) -> Result<Fleet> {
    let context = pin.context;
    context.ui.status(format!("evaluating {} hosts with the new revision", before.hosts.len()));
    let after = Fleet::of_trial(trial, before)?;
    report.hosts = before.hosts.iter().map(|host| compared(host, before, &after)).collect();
    compare_parts(before, &after, report);
    view::announce_parts(&context.ui, report);
    let may_stay_pinned = partial::may_stay_pinned(args, pin, before);
    drifted(report, drifts);
    report.settle(Stage::Evaluate, &may_stay_pinned);
    if !report.ok || args.dry_run {
        for host in report.hosts.iter_mut().filter(|host| host.state == HostState::NotBuilt) {
            host.state = HostState::Changed;
        }
        report_sizes(context, before, &after, report)?;
        return Ok(after);
    }
    let courses = canary::reach(args, context, report)?;
    // A canary that cannot be reached is no reason to pin it.
    report.settle(Stage::Bench, &BTreeSet::new());
    if !report.ok {
        report_sizes(context, before, &after, report)?;
        return Ok(after);
    }
    let builds = changed(report, &after, context.in_testbed());
    let variants = build_all::build(&trial.context, &builds)?;
    interrupt::check()?;
    account(&variants, report);
    report.settle(Stage::Build, &may_stay_pinned);
    report_sizes(context, before, &after, report)?;
    if report.ok {
        canary::run(courses, pin, trial, before, &after, report)?;
        report.settle(Stage::Bench, &may_stay_pinned);
    }
    interrupt::check()?;
    Ok(after)
}

/// Which parts of packages Nix has to build again.
fn compare_parts(before: &Fleet, after: &Fleet, report: &mut UpdateReport) {
    let parts = |fleet: &Fleet| -> BTreeSet<Part> {
        fleet.manifests().flat_map(|(_, manifest)| manifest.parts.clone()).collect()
    };
    let (was, is) = (parts(before), parts(after));
    let names =
        |parts: &mut dyn Iterator<Item = &Part>| parts.map(|part| part.name.clone()).collect();
    report.rebuilt_parts = names(&mut is.difference(&was));
    report.unchanged_parts = names(&mut is.intersection(&was));
}

/// What the drift guard has against single hosts.
pub type Drifts = BTreeMap<HostName, Finding>;

fn drifted(report: &mut UpdateReport, drifts: &Drifts) {
    for host in &mut report.hosts {
        if let Some(finding) = drifts.get(&host.host)
            && host.state != HostState::FailedBefore
        {
            host.state = HostState::Fails;
            host.failed_at = Some(Stage::Drift);
            host.findings.push(finding.clone());
        }
    }
}

fn compared(host: &HostName, before: &Fleet, after: &Fleet) -> HostUpdate {
    let drv = |fleet: &Fleet| fleet.selection(host).map(|selection| selection.drv_path.clone());
    let (was, is) = (drv(before), drv(after));
    let state = match (before.is_ok(host), after.is_ok(host)) {
        (true, false) => HostState::Fails,
        (false, false) => HostState::FailedBefore,
        (_, true) if was == is => HostState::Unchanged,
        // Until it is built.
        (_, true) => HostState::NotBuilt,
    };
    let known = after.reports.get(host);
    let told = matches!(state, HostState::Fails | HostState::FailedBefore);
    let is_host = |fleet: &Fleet| fleet.selection(host).map(|it| it.manifest.variant.clone());
    HostUpdate {
        variant: is_host(after).or_else(|| is_host(before)),
        before: was,
        after: is,
        findings: known.filter(|_| told).map(|it| it.findings.clone()).unwrap_or_default(),
        ..HostUpdate::new(host.clone(), state)
    }
}

/// The distinct variants that are to be built: all that changed, but in the testbed those
/// that nothing could build there.
fn changed(report: &mut UpdateReport, after: &Fleet, in_testbed: bool) -> Vec<Build> {
    let mut wanted = vec![];
    for host in report.hosts.iter_mut().filter(|host| host.state == HostState::NotBuilt) {
        let Some(selection) = after.selection(&host.host) else { continue };
        let manifest = &selection.manifest;
        match testbed::lacks(&manifest.backends).filter(|_| in_testbed) {
            Some(what) => host.findings.push(Finding::warning(
                "not-built",
                format!(
                    "{} was evaluated, not built: the testbed has no {what} here",
                    manifest.variant
                ),
                "build it with the real inputs",
            )),
            None => wanted.push((host.host.clone(), selection)),
        }
    }
    distinct(wanted.iter().map(|(host, selection)| (host, *selection)))
}

fn account(variants: &[VariantReport], report: &mut UpdateReport) {
    for host in &mut report.hosts {
        let Some(variant) = variants.iter().find(|variant| variant.hosts.contains(&host.host))
        else {
            continue;
        };
        host.closure_bytes_after = variant.closure_bytes;
        if variant.state.ok() {
            host.state = HostState::Changed;
        } else if variant.state == BuildState::Unsupported {
            host.findings.push(Finding::warning(
                "not-built",
                format!("{} was evaluated, not built: no builder for its system", variant.variant),
                "add a builder for its system to nix.conf",
            ));
        } else {
            host.state = HostState::Fails;
            host.findings.push(trial_fleet::not_built(variant));
        }
    }
}

fn report_sizes(
    context: &Context,
    before: &Fleet,
    after: &Fleet,
    report: &mut UpdateReport,
) -> Result<()> {
    let outputs = [before, after].into_iter().flat_map(|fleet| fleet.selections.values());
    let outputs: BTreeSet<StorePath> =
        outputs.map(|selection| selection.out_path.clone()).filter(store::appeared).collect();
    let valid = store::valid(&context.flake.nix, &outputs)?;
    let size = |fleet: &Fleet, host: &HostName| {
        valid.get(&fleet.selection(host)?.out_path).and_then(|info| info.closure_size)
    };
    for host in &mut report.hosts {
        host.closure_bytes_before = size(before, &host.host);
        host.closure_bytes_after = size(after, &host.host).or(host.closure_bytes_after);
    }
    Ok(())
}
