//! `check`: every host's selected variant evaluates and keeps the fleet's rules.

use std::collections::BTreeSet;

use anyhow::Result;

use crate::cli;
use crate::cmd::ci::{Ci, Told};
use crate::cmd::context::{self, Context};
use crate::cmd::evaluate::{Ask, Outcomes};
use crate::cmd::{Outcome, evaluate, facts, systems, validate};
use crate::domain::check::{CheckReport, Evaluated};
use crate::domain::junit;
use crate::domain::manifest::Selection;
use crate::domain::names::{DrvPath, HostName, StorePath};
use crate::sys::store;
use crate::ui::{self, github};

pub fn run(args: &cli::Check, context: &Context, ci: &Ci) -> Result<Outcome> {
    if args.no_cache {
        context.forget_answers();
    }
    // Discover, plan, run.
    let lock = validate::own_lock(context);
    let ask = Ask::of(args);
    let (found, seen) = std::thread::scope(|scope| {
        let seen = scope.spawn(|| validate::look(context, lock.as_deref()));
        (find(args, context, ask), seen.join().unwrap_or_default())
    });
    // A flake that does not evaluate may have its reason in its lock.
    let Found { hosts, outcomes, present } =
        found.inspect_err(|_| validate::complain(&context.ui, &seen))?;
    let selected = validate::selected(&outcomes);
    // Report.
    let held = facts::held(context, &outcomes);
    let excused = evaluate::strangers_are_well(&args.selection.hosts, &outcomes);
    let mut report = CheckReport::new(&hosts, outcomes, &present).with(held);
    if excused {
        report = report.excuse_strangers();
    }
    validate::judge(&mut report, seen, &selected);
    if args.full {
        systems::hosts(context, &mut report, ask)?;
    }
    if args.all_systems {
        systems::packages(context, &mut report, ask.timeout)?;
    }
    let report = report.settle();
    context.ui.document(&report)?;
    ui::check::print(&context.ui, &report);
    ci.tell(Told {
        cases: &|| junit::of_check(&report),
        annotations: &|| {
            let folder = folder_in_checkout(context).unwrap_or_default();
            github::check::annotations(&report, &folder)
        },
        summary: &|| github::check::summary(&report),
    })?;
    Ok(Outcome::from_ok(report.ok))
}

struct Found {
    hosts: Vec<HostName>,
    outcomes: Outcomes,
    present: BTreeSet<DrvPath>,
}

fn find(args: &cli::Check, context: &Context, ask: Ask) -> Result<Found> {
    let hosts = context.hosts(&args.selection.hosts)?;
    let outcomes = evaluate::evaluate(context, &hosts, ask)?;
    let present = present(context, outcomes.values().map(|(evaluated, _)| evaluated))?;
    Ok(Found { hosts, outcomes, present })
}

/// Annotations name files from the checkout's root: `fleet/` for a flake in that folder.
pub fn folder_in_checkout(context: &Context) -> Option<String> {
    let root = context::local_root(&context.flake.reference)?;
    let checkout = std::fs::canonicalize(std::env::var_os(github::WORKSPACE)?).ok()?;
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
