//! `check`: evaluates every host's variant, and checks it against the fleet's rules.

use std::collections::BTreeSet;

use anyhow::{Result, anyhow};

use crate::check::args::CheckArgs;
use crate::check::evaluation::{EvalOptions, evaluate};
use crate::check::outcomes::Outcomes;
use crate::check::report::CheckReport;
use crate::check::{github, host_facts, junit, unequal_builds, validation, view, whole_systems};
use crate::ci::run::{Ci, Report};
use crate::findings::outcome::Outcome;
use crate::findings::view::print as print_finding;
use crate::fleet::context::{self, Context};
use crate::fleet::manifest::Selection;
use crate::fleet::names::HostName;
use crate::nix::names::{DrvPath, StorePath};
use crate::nix::store;
use crate::ui::github::WORKSPACE;

pub fn run(args: &CheckArgs, context: &Context, ci: &Ci) -> Result<Outcome> {
    if args.no_cache {
        context.ignore_cache();
    }
    // Discover, plan, run.
    let lock = validation::own_lock(context);
    let options = EvalOptions::of(args);
    let (evaluated, validation) = std::thread::scope(|scope| {
        let validation = scope.spawn(|| validation::validate(context, lock.as_deref()));
        (find_and_evaluate(args, context, options), validation.join())
    });
    let validation =
        validation.map_err(|_| anyhow!("the thread that reads flake.lock panicked"))?;
    // The lock file may be the reason why the flake does not evaluate.
    let (hosts, outcomes) = evaluated.inspect_err(|_| {
        validation.findings.iter().for_each(|finding| print_finding(&context.ui, "fleet", finding));
    })?;
    let selections = outcomes.selected().map(|(_, selection)| selection);
    let present = present(context, selections)?;
    // Report.
    let host_findings =
        [host_facts::findings(context, &outcomes), validation.host_findings(&outcomes)].concat();
    let unequal = unequal_builds::findings(outcomes.selected());
    let mut report = CheckReport::for_named(&args.selection.hosts, &hosts, outcomes, &present);
    host_findings.into_iter().for_each(|(host, finding)| report.add(&host, finding));
    report.findings.extend(validation.findings.into_iter().chain(unequal));
    if args.full {
        whole_systems::hosts(context, &mut report, options)?;
    }
    if args.all_systems {
        whole_systems::packages(context, &mut report, options.timeout)?;
    }
    let report = report.settle();
    context.ui.document(&report)?;
    view::print(&context.ui, &report);
    ci.report(Report {
        cases: junit::of_check(&report),
        annotations: github::annotations(&report, &folder_in_checkout(context)),
        summary: github::summary(&report),
    })?;
    Ok(report.outcome())
}

fn find_and_evaluate(
    args: &CheckArgs,
    context: &Context,
    options: EvalOptions,
) -> Result<(Vec<HostName>, Outcomes)> {
    let hosts = context.hosts(&args.selection.hosts)?;
    let outcomes = evaluate(context, &hosts, options)?;
    Ok((hosts, outcomes))
}

/// Returns the flake's folder in GitHub's checkout, which annotations name files by, such as
/// `fleet/`, or an empty string.
pub fn folder_in_checkout(context: &Context) -> String {
    let find = || {
        let root = context::local_root(&context.flake.reference)?;
        let checkout = std::fs::canonicalize(std::env::var_os(WORKSPACE)?).ok()?;
        let folder = root.strip_prefix(checkout).ok()?.to_str().filter(|it| !it.is_empty())?;
        Some(format!("{folder}/"))
    };
    find().unwrap_or_default()
}

/// Returns the derivations of packages and their parts whose output is in this machine's store.
pub fn present<'a>(
    context: &Context,
    selections: impl Iterator<Item = &'a Selection>,
) -> Result<BTreeSet<DrvPath>> {
    let wanted: Vec<(&DrvPath, &StorePath)> = selections
        .flat_map(|selection| {
            let parts = selection.manifest.parts.iter().map(|part| (&part.drv_path, &part.output));
            parts.chain([(&selection.drv_path, &selection.out_path)])
        })
        .collect();
    // A path that does not exist needs no Nix command.
    let outputs = wanted.iter().map(|(_, output)| *output).filter(|output| store::exists(output));
    let valid = store::valid(&context.flake.nix, &outputs.cloned().collect())?;
    let present = wanted.into_iter().filter(|(_, output)| valid.contains_key(*output));
    Ok(present.map(|(drv, _)| drv.clone()).collect())
}
