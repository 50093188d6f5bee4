//! `check`: every host's selected variant evaluates and keeps the fleet's rules.

use std::collections::BTreeSet;

use anyhow::Result;

use crate::cli;
use crate::cmd::context::Context;
use crate::cmd::evaluate::Ask;
use crate::cmd::{Outcome, evaluate, facts};
use crate::domain::check::{CheckReport, Evaluated};
use crate::domain::manifest::Selection;
use crate::domain::names::{DrvPath, StorePath};
use crate::sys::store;
use crate::ui;

pub fn run(args: &cli::Check, context: &Context) -> Result<Outcome> {
    // Discover, plan.
    let hosts = context.hosts(&args.selection.hosts)?;
    // Run.
    let outcomes = evaluate::evaluate(context, &hosts, Ask::of(args))?;
    let present = present(context, outcomes.values().map(|(evaluated, _)| evaluated))?;
    // Report.
    let held = facts::held(context, &outcomes);
    let report = CheckReport::new(&hosts, outcomes, &present).with(held);
    context.ui.document(&report)?;
    ui::check::print(&context.ui, &report);
    Ok(Outcome::from_ok(report.ok))
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
    let valid = store::valid(&context.flake.nix, &outputs)?;
    Ok(selected
        .into_iter()
        .filter(|selection| valid.contains_key(&selection.out_path))
        .map(|selection| selection.drv_path.clone())
        .collect())
}
