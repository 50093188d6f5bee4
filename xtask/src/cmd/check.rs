//! `check`: every host's selected variant evaluates and keeps the fleet's rules.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;

use crate::cli;
use crate::cmd::context::Context;
use crate::cmd::evaluate::Ask;
use crate::cmd::{Outcome, evaluate, facts, systems, validate};
use crate::domain::check::{CheckReport, Evaluated};
use crate::domain::manifest::Selection;
use crate::domain::names::{DrvPath, StorePath};
use crate::sys::{files, store};
use crate::ui::{self, github};

pub fn run(args: &cli::Check, context: &Context) -> Result<Outcome> {
    if args.no_cache {
        context.forget_answers();
    }
    // Discover, plan.
    let lock = validate::own_lock(context);
    let hosts = context.hosts(&args.selection.hosts);
    // A flake that does not evaluate may have its reason in its lock.
    let hosts = hosts.inspect_err(|_| validate::complain(context, lock.as_deref()))?;
    // Run.
    let ask = Ask::of(args);
    let (outcomes, seen) = std::thread::scope(|scope| {
        let seen = scope.spawn(|| validate::look(context, lock.as_deref()));
        (evaluate::evaluate(context, &hosts, ask), seen.join().unwrap_or_default())
    });
    let outcomes = outcomes?;
    let selected = validate::selected(&outcomes);
    let present = present(context, outcomes.values().map(|(evaluated, _)| evaluated))?;
    // Report.
    let held = facts::held(context, &outcomes);
    let mut report = CheckReport::new(&hosts, outcomes, &present).with(held);
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
    if context.ui.github {
        tell_github(context, &report)?;
    }
    Ok(Outcome::from_ok(report.ok))
}

/// Findings beside the lines that they are about, and the summary of the job's page.
fn tell_github(context: &Context, report: &CheckReport) -> Result<()> {
    for annotation in github::annotations(report) {
        context.ui.command_to_runner(&annotation);
    }
    match std::env::var_os(github::STEP_SUMMARY) {
        Some(file) => files::append(Path::new(&file), &github::summary(report)),
        None => Ok(()),
    }
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
