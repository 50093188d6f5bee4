//! `matrix`: the distinct builds as a GitHub Actions matrix, on one line of stdout.

use std::collections::BTreeSet;

use anyhow::Result;

use crate::cli;
use crate::cmd::context::Context;
use crate::cmd::evaluate::Ask;
use crate::cmd::{Outcome, evaluate, validate};
use crate::domain::check::CheckReport;
use crate::domain::matrix::Matrix;
use crate::domain::names::HostName;
use crate::ui;

pub fn run(args: &cli::HostSelection, context: &Context) -> Result<Outcome> {
    // Discover, plan.
    let hosts = context.hosts(&args.hosts)?;
    // Run.
    let outcomes = evaluate::evaluate(context, &hosts, Ask::default())?;
    let selected = validate::selected(&outcomes);
    // Report.
    let matrix = Matrix::new(selected.iter().map(|(host, selection)| (host, selection)));
    context.ui.line(&matrix)?;
    // A host that does not evaluate is in no job, and that must not go unseen.
    let chosen: BTreeSet<&HostName> = selected.iter().map(|(host, _)| host).collect();
    let missing: Vec<HostName> =
        hosts.iter().filter(|host| !chosen.contains(host)).cloned().collect();
    let excused = evaluate::strangers_are_well(&args.hosts, &outcomes);
    let report = CheckReport::new(&missing, outcomes, &BTreeSet::new());
    let report = if excused { report.excuse_strangers() } else { report };
    ui::check::complain(&context.ui, &report);
    Ok(Outcome::from_ok(report.ok))
}
