//! `matrix`: the distinct builds as a GitHub Actions matrix, on one line of stdout.

use std::collections::BTreeSet;

use anyhow::Result;

use crate::build::matrix_jobs::Matrix;
use crate::check::evaluation::Ask;
use crate::check::report::CheckReport;
use crate::check::{evaluation as evaluate, validation};
use crate::findings::outcome::Outcome;
use crate::fleet::args::HostSelection;
use crate::fleet::context::Context;
use crate::nix::names::HostName;

pub fn run(args: &HostSelection, context: &Context) -> Result<Outcome> {
    // Discover, plan.
    let hosts = context.hosts(&args.hosts)?;
    // Run.
    let outcomes = evaluate::evaluate(context, &hosts, Ask::default())?;
    let selected = validation::selected(&outcomes);
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
    crate::check::view::complain(&context.ui, &report);
    Ok(Outcome::from_ok(report.ok))
}
