//! What upstream changed between two pins, for the report.

use anyhow::{Context as _, Result};

use crate::findings::finding::Finding;
use crate::nix::flake_input::short;
use crate::pin::update::report::UpdateReport;
use crate::upstream::changes as upstream_changes;
use crate::upstream::changes::PATHS;
use crate::upstream::revision::Chosen;
use crate::upstream::trial_fleet::PinState;

/// What the history says of the step, into the report. That it cannot be had costs the
/// report a few lines and the update nothing.
pub fn report_changes(report: &mut UpdateReport, pin: &PinState, chosen: &Chosen) {
    let (from, to) = (&pin.now.rev, &chosen.revision.rev);
    report.comparison = pin.upstream.comparison(from, to);
    let told = chosen.history.as_ref().map_err(Clone::clone).and_then(|history| {
        let read = || -> Result<_> {
            history.resolve(from).with_context(|| format!("{} is not in it", short(from)))?;
            history.resolve(to).with_context(|| format!("{} is not in it", short(to)))?;
            let backwards = history.is_ancestor(to, from);
            let (old, new) = if backwards { (to, from) } else { (from, to) };
            Ok((backwards, history.count(old, new)?, history.between(old, new, &PATHS)?))
        };
        read().map_err(|error| format!("{error:#}"))
    });
    match told {
        Ok((backwards, count, commits)) => {
            report.backwards = backwards;
            report.commits = Some(count);
            let plain: Vec<_> =
                commits.into_iter().map(|c| (c.revision.rev, c.subject, c.files)).collect();
            report.changes = upstream_changes::areas(&plain);
        }
        Err(why) => report.findings.push(Finding::note(
            "no-history",
            format!("cannot list upstream's changes: {why}"),
            "the update does not depend on it",
        )),
    }
}
