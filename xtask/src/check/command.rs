//! `check`: every host's selected variant evaluates and keeps the fleet's rules.

use std::collections::BTreeSet;

use anyhow::Result;

use crate::check::args::CheckArgs;
use crate::check::evaluation::{EvalOptions, Outcomes};
use crate::check::report::{CheckReport, Evaluated};
use crate::check::{evaluation as evaluate, host_facts, validation, whole_systems};
use crate::ci::run::{Ci, Report};
use crate::findings::outcome::Outcome;
use crate::fleet::context::{self, Context};
use crate::fleet::manifest::Selection;
use crate::nix::names::{DrvPath, HostName, StorePath};
use crate::nix::store;

pub fn run(args: &CheckArgs, context: &Context, ci: &Ci) -> Result<Outcome> {
    if args.no_cache {
        context.forget_answers();
    }
    // Discover, plan, run.
    let lock = validation::own_lock(context);
    let ask = EvalOptions::of(args);
    let (found, seen) = std::thread::scope(|scope| {
        let seen = scope.spawn(|| validation::look(context, lock.as_deref()));
        (find(args, context, ask), seen.join().unwrap_or_default())
    });
    // A flake that does not evaluate may have its reason in its lock.
    let Found { hosts, outcomes, present } =
        found.inspect_err(|_| validation::complain(&context.ui, &seen))?;
    let selected = validation::selected(&outcomes);
    // Report.
    let held = host_facts::held(context, &outcomes);
    let excused = evaluate::may_lack_module(&args.selection.hosts, &outcomes);
    let mut report = CheckReport::new(&hosts, outcomes, &present).with(held);
    if excused {
        report = report.allow_missing_module();
    }
    validation::judge(&mut report, seen, &selected);
    if args.full {
        whole_systems::hosts(context, &mut report, ask)?;
    }
    if args.all_systems {
        whole_systems::packages(context, &mut report, ask.timeout)?;
    }
    let report = report.settle();
    context.ui.document(&report)?;
    crate::check::view::print(&context.ui, &report);
    ci.report(Report {
        cases: &|| crate::check::junit::of_check(&report),
        annotations: &|| {
            let folder = folder_in_checkout(context).unwrap_or_default();
            crate::check::github::annotations(&report, &folder)
        },
        summary: &|| crate::check::github::summary(&report),
    })?;
    Ok(Outcome::from_ok(report.ok))
}

struct Found {
    hosts: Vec<HostName>,
    outcomes: Outcomes,
    present: BTreeSet<DrvPath>,
}

fn find(args: &CheckArgs, context: &Context, ask: EvalOptions) -> Result<Found> {
    let hosts = context.hosts(&args.selection.hosts)?;
    let outcomes = evaluate::evaluate(context, &hosts, ask)?;
    let present = present(context, outcomes.values().map(|(evaluated, _)| evaluated))?;
    Ok(Found { hosts, outcomes, present })
}

/// Annotations name files from the checkout's root: `fleet/` for a flake in that folder.
pub fn folder_in_checkout(context: &Context) -> Option<String> {
    let root = context::local_root(&context.flake.reference)?;
    let checkout = std::fs::canonicalize(std::env::var_os(crate::ui::github::WORKSPACE)?).ok()?;
    let folder = root.strip_prefix(checkout).ok()?.to_str()?;
    Some(if folder.is_empty() { String::new() } else { format!("{folder}/") })
}

/// The derivations whose output this machine's store has already.
pub fn present<'a>(
    context: &Context,
    evaluated: impl Iterator<Item = &'a Evaluated>,
) -> Result<BTreeSet<DrvPath>> {
    let selected: Vec<&Selection> = evaluated
        .filter_map(|evaluated| match evaluated {
            Evaluated::Selected(selection) => Some(selection.as_ref()),
            _ => None,
        })
        .collect();
    let outputs: BTreeSet<StorePath> =
        selected.iter().map(|selection| selection.out_path.clone()).collect();
    // What is not even there need not be asked for.
    let outputs = outputs.into_iter().filter(store::appeared).collect();
    let valid = store::valid(&context.flake.nix, &outputs)?;
    Ok(selected
        .into_iter()
        .filter(|selection| valid.contains_key(&selection.out_path))
        .map(|selection| selection.drv_path.clone())
        .collect())
}
