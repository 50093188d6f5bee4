//! `update`: another revision of llama.cpp, as a transaction. What it would be is made
//! beside the fleet, evaluated and built; flake.lock is replaced at the end, by one rename,
//! or not at all.

pub mod canary;
pub mod changes;
pub mod commit;
pub mod evaluation;
pub mod message;
pub mod partial;
pub mod report;
pub mod view;

use anyhow::{Context as _, Result};

use crate::findings::finding::{Finding, Severity, none_is_an_error};
use crate::findings::outcome::Outcome;
use crate::fleet::context::Context;
use crate::fleet::pinned_hosts::PinnedHosts;
use crate::hardware::microarch::Table;
use crate::pin::args::UpdateArgs;
use crate::pin::drift::{self, Needs, Used};
use crate::pin::update::evaluation::{Drifts, Fleet};
use crate::pin::update::report::{LockState, Point, Stage, UpdateReport};
use crate::pin::{lock_transaction, source_surface};
use crate::system::{files, interrupt};
use crate::upstream::revision::Chosen;
use crate::upstream::trial_fleet::{LLAMA_CPP, PinState, TrialFleet};

pub fn run(args: &UpdateArgs, context: &Context) -> Result<Outcome> {
    let lock = || files::read(&context.root()?.join(commit::LOCK)).ok();
    let before = lock();
    let outcome = carry_out(args, context);
    // A second look: Ctrl-C may have come after the rename.
    if (outcome.is_err() || interrupt::requested()) && before.is_some() && before == lock() {
        context.ui.warn("flake.lock is unchanged");
    }
    outcome
}

fn carry_out(args: &UpdateArgs, context: &Context) -> Result<Outcome> {
    let ended = transact(args, context)?;
    // Report.
    match ended {
        Ok(report) => tell(args, context, &report),
        Err(finding) => refused(context, args.input.as_deref().unwrap_or(LLAMA_CPP), &finding),
    }
}

/// All of an update but its report; a finding where it cannot begin.
pub fn transact(args: &UpdateArgs, context: &Context) -> Result<Result<UpdateReport, Finding>> {
    // Discover.
    let pin = match PinState::read(context, args.input.as_deref())? {
        Ok(pin) => pin,
        Err(finding) => return Ok(Err(finding)),
    };
    let _alone = lock_transaction::reserve(&context.home, &pin.root)?;
    if let Some(finding) = commit::precondition(&pin, args)? {
        return Ok(Err(finding));
    }
    let chosen = match crate::upstream::revision::choose(&pin, args.to.as_deref())? {
        Ok(chosen) => chosen,
        Err(finding) => return Ok(Err(finding)),
    };
    let mut report = UpdateReport::new(&pin.input.name, &pin.now);
    report.dry_run = args.dry_run;
    report.to = Some((&chosen.revision).into());
    if report.stays() && pin.pinned_hosts().is_empty() {
        return Ok(Ok(report));
    }
    if report.stays() {
        let hosts =
            pin.pinned_hosts().keys().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        context.ui.status(format!("trying {} on pinned hosts: {hosts}", pin.now.name()));
    } else {
        changes::report_changes(&mut report, &pin, &chosen);
        view::announce(&context.ui, &report);
    }
    // Plan.
    let Some(mut trial) = trial(&pin, &chosen, &mut report)? else {
        return Ok(Ok(report));
    };
    // Run.
    let fleet = Fleet::before(context)?;
    let drifts = guard(args, &pin, &trial, &fleet, &mut report)?;
    let after = evaluation::run(args, &pin, &trial, &fleet, &drifts, &mut report)?;
    let pinned = if report.ok {
        partial::run(&pin, &mut trial, &fleet, &after, &mut report)?
    } else {
        PinnedHosts::new()
    };
    if !report.ok {
        commit::save_rejected(&pin, &trial, &mut report);
    } else if !args.dry_run && (!report.stays() || !report.released.is_empty()) {
        commit::take(args, &pin, &trial, pinned, &mut report)?;
    }
    Ok(Ok(report))
}

fn trial(
    pin: &PinState<'_>,
    chosen: &Chosen,
    report: &mut UpdateReport,
) -> Result<Option<TrialFleet>> {
    match pin.trial_fleet(&chosen.revision, chosen.named.as_deref())? {
        Ok(trial) => {
            report.to = Some((&trial.revision).into());
            if trial.revision.build.is_none() && pin.build_numbers.is_some() {
                report.findings.push(Finding::warning(
                    "no-build-number",
                    "cannot determine upstream's build number of this revision, so llama-bench \
                     will report 0",
                    "update again when upstream's history can be read, or pass a tag with --to",
                ));
            }
            Ok(Some(trial))
        }
        Err(finding) => {
            report.findings.push(finding);
            report.fail_at(Stage::Lock);
            Ok(None)
        }
    }
}

/// The drift guard: before any build, and of source text alone.
fn guard(
    args: &UpdateArgs,
    pin: &PinState<'_>,
    trial: &TrialFleet,
    fleet: &Fleet,
    report: &mut UpdateReport,
) -> Result<Drifts> {
    let needs = Needs::embedded().context("needs.json")?;
    let table = Table::embedded().context("microarch.json")?;
    let nix = &pin.context.flake.nix;
    let look = |locked| source_surface::look(nix, &needs, locked);
    // The old source may be gone from upstream; then nothing is told to be new.
    let before = look(pin.input.locked());
    let after = match look(&trial.locked()) {
        Ok(after) => after,
        Err(error) => {
            interrupt::check()?;
            let finding = Finding::error(
                "packaging-broken",
                format!("upstream's Nix files of this revision cannot be read: {error:#}"),
                "pass another revision with --to",
            );
            report.findings.push(finding);
            report.fail_at(Stage::Drift);
            return Ok(Drifts::new());
        }
    };
    let judge = |used: &Used| drift::judge(&needs, &table, used, before.as_ref().ok(), &after);
    let mut findings = judge(&Used::by(fleet.manifests()));
    let mut drifts = Drifts::new();
    if !none_is_an_error(&findings) {
        // What would be wrong of a fleet of this host alone.
        let error = |used: Used| judge(&used).into_iter().find(|it| it.severity == Severity::Error);
        drifts = fleet
            .manifests()
            .filter_map(|one| Some((one.0.clone(), error(Used::by([one]))?)))
            .collect();
        let may_stay_pinned = partial::may_stay_pinned(args, pin, fleet);
        if drifts.is_empty() || drifts.keys().any(|host| !may_stay_pinned.contains(host)) {
            report.fail_at(Stage::Drift);
            drifts.clear();
        } else {
            // Each is told with its host.
            findings.retain(|finding| finding.severity < Severity::Error);
        }
    }
    report.findings.extend(findings);
    Ok(drifts)
}

fn tell(args: &UpdateArgs, context: &Context, report: &UpdateReport) -> Result<Outcome> {
    context.ui.document(report)?;
    view::print(&context.ui, report);
    if let Some(to) = report.to.as_ref().filter(|_| !report.stays()) {
        let from = &report.from.rev;
        if !report.ok && report.lock == LockState::Unchanged {
            let hosts = report.failing_hosts();
            bisect_hint(context, args, from, &to.rev, &hosts, report.failed_at);
        }
        // A host that was pinned before has its first bad commit further back.
        let newly = |at: &Point| at.rev == *from;
        for host in report.pinned().filter(|host| host.pinned_at.as_ref().is_some_and(newly)) {
            let name = [host.host.to_string()];
            bisect_hint(context, args, from, &to.rev, &name, host.failed_at);
        }
    }
    Ok(Outcome::from_ok(report.ok))
}

/// How to find the commit that broke it.
fn bisect_hint(
    context: &Context,
    args: &UpdateArgs,
    good: &str,
    bad: &str,
    hosts: &[String],
    stage: Option<Stage>,
) {
    let by = match stage {
        Some(Stage::Evaluate | Stage::Drift) => "eval",
        Some(Stage::Build) => "build",
        Some(Stage::Bench) => "bench",
        _ => return,
    };
    let host = hosts
        .iter()
        .find(|host| *host != crate::target::selection::LOCAL || by == "bench")
        .map(|host| format!(" --host {host}"))
        .unwrap_or_default();
    let input = args.input.as_ref().map(|input| format!(" --input {input}")).unwrap_or_default();
    let testbed = context.testbed_option();
    context.ui.status(format!(
        "\nto find the commit: cargo xtask bisect{testbed}{input} --good {good} --bad {bad}{host} \
         --by {by}"
    ));
}

/// What a program reads when there is nothing to report on.
fn refused(context: &Context, input: &str, finding: &Finding) -> Result<Outcome> {
    context.ui.document(&serde_json::json!({
        "schema": 1, "command": "update", "input": input, "hosts": [], "findings": [finding],
        "lock": LockState::Unchanged, "ok": false,
    }))?;
    context.ui.warn(crate::findings::view::describe(&context.ui, input, finding));
    Ok(Outcome::Findings)
}
