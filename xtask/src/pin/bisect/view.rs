//! The terminal output of `bisect`: each step, and the result.

use crate::findings::view::print as print_finding;
use crate::nix::flake_input::{Revision, build_tag, release_tag, short};
use crate::pin::bisect::report::{BisectReport, FirstBad, Step, seconds_left};
use crate::pin::bisect::search::Verdict;
use crate::ui::{Ui, units};

/// Width of the bar, in columns.
const BAR: usize = 16;

/// Prints the start of a step:
/// `━━━━────  3 of about 6, about 2 min left: b6143 a1b2c3d4e 2025-08-18`
pub fn begin(ui: &Ui, revision: &Revision, steps: &[Step], left: u32) {
    let (done, all) = (steps.len(), steps.len() + left.max(1) as usize);
    let filled = (BAR * done / all).min(BAR);
    let bar = format!("{}{}", ui.green(&"━".repeat(filled)), ui.dim(&"─".repeat(BAR - filled)));
    let time = seconds_left(steps, left)
        .map(|seconds| format!(", about {} left", units::seconds(seconds)))
        .unwrap_or_default();
    let lead = if ui.bars { format!("{bar}  ") } else { String::new() };
    ui.status(format!("{lead}{} of about {all}{time}: {}", done + 1, name(revision)));
}

pub fn end(ui: &Ui, step: &Step) {
    let verdict = match step.judgement.verdict {
        Verdict::Good => ui.green("good"),
        Verdict::Bad => ui.red("bad"),
        Verdict::Inconclusive => ui.yellow("inconclusive"),
    };
    let why = step.judgement.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    let time = match step.earlier {
        true => format!("{}, from an earlier run", name(&step.revision)),
        false => units::seconds(step.seconds),
    };
    ui.status(format!("  {verdict}{why} ({time})"));
}

/// Formats a revision as `b6143 a1b2c3d4e 2025-08-18`.
fn name(revision: &Revision) -> String {
    let release = revision.release.as_ref().map(release_tag);
    let build = build_tag(revision.build);
    let parts = [release, build, Some(short(&revision.rev).to_owned()), revision.day()];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

pub fn print(ui: &Ui, report: &BisectReport) {
    if let Some(first) = &report.first_bad {
        ui.result(first_bad(ui, first));
    }
    if !report.candidates.is_empty() {
        ui.result("the first bad revision is one of:");
        for revision in &report.candidates {
            let step = report.judged.iter().find(|step| step.revision.rev == revision.rev);
            let why = step.and_then(|step| step.judgement.why.as_ref());
            let why = why.map(|why| format!("  {why}")).unwrap_or_default();
            ui.result(format!("  {}{}", name(revision), ui.dim(&why)));
        }
    }
    if let Some(good) = &report.newest_good {
        ui.result(format!("{} {}", ui.bold("newest good:"), name(good)));
    }
    for finding in &report.findings {
        print_finding(ui, "bisect", finding);
    }
    let inconclusive =
        report.judged.iter().filter(|step| step.judgement.verdict == Verdict::Inconclusive).count();
    let inconclusive =
        if inconclusive == 0 { String::new() } else { format!(", {inconclusive} inconclusive") };
    ui.status(format!(
        "\n{} of {} revisions judged{inconclusive}",
        report.judged.len(),
        report.revisions
    ));
    match (&report.newest_good, report.applied) {
        (Some(good), Some(true)) => ui.result(format!("flake.lock is at {}", name(good))),
        (Some(_), Some(false)) => ui.warn("flake.lock is unchanged"),
        (Some(good), None) => ui.status(format!(
            "`--apply`, or `cargo xtask update --to {}`, pins the newest good revision",
            good.rev
        )),
        (None, _) => {}
    }
}

fn first_bad(ui: &Ui, first: &FirstBad) -> String {
    let mut text = vec![
        format!("{} {} by {}", ui.bold("first bad:"), name(&first.revision), first.author),
        format!("    {}", first.subject),
    ];
    for cause in &first.cause {
        text.push(format!("  {} {cause}", ui.bold("cause:")));
    }
    let packaging = match first.packaging.is_empty() {
        true => "none of them is packaging".to_owned(),
        false => format!("packaging: {}", first.packaging.join(", ")),
    };
    text.push(format!("  changes {}; {packaging}", units::count(first.files, "file")));
    text.extend(first.lines.iter().map(|line| {
        let painted = match line.chars().next() {
            Some('+') => ui.green(line),
            Some('-') => ui.red(line),
            _ => ui.dim(line),
        };
        format!("    {painted}")
    }));
    if first.commits > 1 {
        text.push(format!("  came with {} commits", first.commits));
    }
    text.join("\n")
}
