//! `update`: moves llama.cpp to another revision as a transaction. Evaluates and builds a copy of
//! the fleet with the new revision; at the end, replaces flake.lock with one rename, or leaves it
//! unchanged.

pub mod canary;
pub mod commit;
pub mod evaluation;
pub mod message;
pub mod partial;
pub mod report;
pub mod view;

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use serde_json::json;

use crate::check::lock_rules;
use crate::findings::finding::{Finding, Severity, none_is_an_error, or_finding};
use crate::findings::outcome::Outcome;
use crate::findings::view::print as print_finding;
use crate::fleet::context::{Context, bisect_command};
use crate::fleet::names::{HostName, join};
use crate::fleet::pinned_hosts::PinnedHosts;
use crate::nix::flake_input::short;
use crate::pin::args::UpdateArgs;
use crate::pin::drift::{self, Used};
use crate::pin::update::evaluation::{Drifts, Fleet};
use crate::pin::update::report::{LockState, Point, Stage, UpdateReport};
use crate::pin::{lock_transaction, source_surface};
use crate::system::{files, interrupt};
use crate::target::selection::LOCAL;
use crate::upstream::changes;
use crate::upstream::revision::{self, Chosen, Wanted};
use crate::upstream::trial_fleet::{LLAMA_CPP, PinState, TrialFleet};

pub fn run(args: &UpdateArgs, context: &Context) -> Result<Outcome> {
    let lock = || files::read(&context.root()?.join(commit::LOCK)).ok();
    let before = lock();
    let outcome = or_finding(transact(args, context)).and_then(|result| match result {
        Ok(report) => print(args, context, &report),
        Err(finding) => {
            let input = args.input.as_deref().unwrap_or(LLAMA_CPP);
            context.ui.document(&json!({
                "schema": 1, "command": "update", "input": input, "hosts": [],
                "findings": [finding], "lock": LockState::Unchanged, "ok": false,
            }))?;
            print_finding(&context.ui, input, &finding);
            Ok(Outcome::new(false, [&finding]))
        }
    });
    // Read again: Ctrl-C may have come after the rename.
    if (outcome.is_err() || interrupt::requested()) && before.is_some() && before == lock() {
        context.ui.warn("flake.lock is unchanged");
    }
    outcome
}

/// Runs an update without its output.
///
/// # Errors
/// A [`Finding`] if the update cannot start.
pub fn transact(args: &UpdateArgs, context: &Context) -> Result<UpdateReport> {
    // Discover.
    let pin = PinState::read(context, args.input.as_deref())?;
    let _lock = lock_transaction::reserve(&context.home, &pin.root)?;
    let mut report = UpdateReport::new(&pin.input.name, &pin.now);
    report.dry_run = args.dry_run;
    report.findings.extend(lock_rules::elsewhere(&pin.lock));
    report.findings.extend(lock_rules::pinned_elsewhere(&pin.lock, &pin.pinned_file));
    if !none_is_an_error(&report.findings) {
        // The fleet does not use such a lock file, so its builds would prove nothing.
        report.fail_at(Stage::Lock);
        return Ok(report);
    }
    commit::precondition(&pin, args)?;
    let chosen = revision::choose(&pin, wanted(args))?;
    report.from = (&chosen.now).into();
    report.findings.extend(chosen.note.clone());
    report.to = Some((&chosen.revision).into());
    if report.stays() && pin.pinned_hosts().is_empty() {
        return Ok(report);
    }
    if report.stays() {
        let (rev, pinned) = (pin.now.name(), pin.pinned_hosts());
        context.ui.status(format!("trying {rev} on pinned hosts: {}", join(pinned.keys())));
    } else {
        report_changes(&mut report, &pin, &chosen);
        view::announce(&context.ui, &report);
    }
    // Plan.
    let trial = match or_finding(pin.trial_fleet(&chosen.revision, chosen.named.as_deref()))? {
        Ok(trial) => trial,
        Err(finding) => {
            report.fail(Stage::Lock, finding);
            return Ok(report);
        }
    };
    report.to = Some((&trial.revision).into());
    if trial.revision.build.is_none() && pin.build_numbers.is_some() {
        report.findings.push(Finding::warning(
            "no-build-number",
            "cannot determine upstream's build number of this revision, so llama-bench will \
             report 0",
            "update again when upstream's history can be read, or pass a tag with --to",
        ));
    }
    // Run.
    let before = Fleet::before(context)?;
    let may_stay_pinned = partial::may_stay_pinned(args, &pin, &before);
    let mut update = Update { args, pin: &pin, trial, before, may_stay_pinned, report };
    let drifts = update.drifts()?;
    let after = update.evaluate(&drifts)?;
    let pinned = match update.report.ok {
        true => update.pin_failing(&after)?,
        false => PinnedHosts::new(),
    };
    let moves = !update.report.stays() || !update.report.released.is_empty();
    if !update.report.ok {
        update.save_rejected();
    } else if !args.dry_run && moves {
        update.apply(pinned)?;
    }
    Ok(update.report)
}

/// The state of a running update. The files of this folder implement its steps.
pub struct Update<'a> {
    args: &'a UpdateArgs,
    pin: &'a PinState<'a>,
    /// The fleet with the new revision.
    trial: TrialFleet,
    /// The fleet with the current revision.
    before: Fleet,
    /// The hosts whose failure does not stop the update.
    may_stay_pinned: BTreeSet<HostName>,
    report: UpdateReport,
}

fn wanted(args: &UpdateArgs) -> Wanted<'_> {
    match &args.to {
        Some(to) => Wanted::Named(to),
        None if args.stable => Wanted::NewestRelease,
        None => Wanted::Newest,
    }
}

/// Adds upstream's changes to the report, or a note if its history cannot be read.
fn report_changes(report: &mut UpdateReport, pin: &PinState, chosen: &Chosen) {
    let (from, to) = (&pin.now.rev, &chosen.revision.rev);
    report.comparison = pin.upstream.comparison(from, to);
    let changes = chosen.history.as_ref().map_err(Clone::clone).and_then(|history| {
        let read = || -> Result<_> {
            for rev in [from, to] {
                history.resolve(rev).with_context(|| format!("{} is not in it", short(rev)))?;
            }
            let backwards = history.is_ancestor(to, from);
            let (old, new) = if backwards { (to, from) } else { (from, to) };
            let commits = history.between(old, new, changes::paths())?;
            Ok((backwards, history.count(old, new)?, changes::areas(&commits)))
        };
        read().map_err(|error| format!("{error:#}"))
    });
    match changes {
        Ok((backwards, count, areas)) => {
            report.backwards = backwards;
            report.commits = Some(count);
            report.changes = areas;
        }
        Err(why) => report.findings.push(Finding::note(
            "no-history",
            format!("cannot list upstream's changes: {why}"),
            "the update does not depend on it",
        )),
    }
}

impl Update<'_> {
    /// Compares the sources of both revisions, before anything is built.
    fn drifts(&mut self) -> Result<Drifts> {
        let read = |locked| source_surface::read(&self.pin.context.flake.nix, locked);
        // Upstream may no longer have the old source. Without it, nothing is reported as new.
        let before = read(self.pin.input.locked());
        let after = match read(&self.trial.locked) {
            Ok(after) => after,
            Err(error) => {
                interrupt::check()?;
                let finding = Finding::error(
                    "packaging-broken",
                    format!("upstream's Nix files of this revision cannot be read: {error:#}"),
                    "pass another revision with --to",
                );
                self.report.fail(Stage::Drift, finding);
                return Ok(Drifts::new());
            }
        };
        let compare = |used: &Used| drift::findings(used, before.as_ref().ok(), &after);
        let manifests = || self.before.manifests();
        let mut findings = compare(&Used::by(manifests()));
        let mut drifts = Drifts::new();
        if !none_is_an_error(&findings) {
            // Attributes errors to hosts: each host is compared as a fleet of one.
            let error =
                |used: Used| compare(&used).into_iter().find(|it| it.severity == Severity::Error);
            drifts.extend(manifests().filter_map(|(host, manifest)| {
                Some((host.clone(), error(Used::by([(host, manifest)]))?))
            }));
            if drifts.is_empty() || drifts.keys().any(|host| !self.may_stay_pinned.contains(host)) {
                self.report.fail_at(Stage::Drift);
                drifts.clear();
            } else {
                // The errors are reported with their hosts.
                findings.retain(|finding| finding.severity < Severity::Error);
            }
        }
        self.report.findings.extend(findings);
        Ok(drifts)
    }
}

fn print(args: &UpdateArgs, context: &Context, report: &UpdateReport) -> Result<Outcome> {
    context.ui.document(report)?;
    view::print(&context.ui, report);
    let Some(to) = report.to.as_ref().filter(|_| !report.stays()) else {
        return Ok(report.outcome());
    };
    let from = &report.from.rev;
    // Suggests the command that finds the responsible commit.
    let hint = |hosts: &[String], stage: Option<Stage>| {
        let by = match stage {
            Some(Stage::Evaluate | Stage::Drift) => "eval",
            Some(Stage::Build) => "build",
            Some(Stage::Bench) => "bench",
            _ => return,
        };
        let host = hosts.iter().find(|host| *host != LOCAL || by == "bench");
        let testbed = context.testbed_option();
        let (input, host) = (args.input.as_deref(), host.map(String::as_str));
        let command = bisect_command(&testbed, input, from, &to.rev, host, by);
        context.ui.status(format!("\nto find the commit: {command}"));
    };
    if !report.ok && report.lock == LockState::Unchanged {
        hint(&report.failing_hosts(), report.failed_at);
    }
    // The first bad commit of a host that was already pinned is further back.
    let is_new = |at: &Point| at.rev == *from;
    for host in report.pinned().filter(|host| host.pinned_at.as_ref().is_some_and(is_new)) {
        hint(&[host.host.to_string()], host.failed_at);
    }
    Ok(report.outcome())
}
