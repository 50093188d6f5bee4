//! Compares a measurement with the baseline. If they differ or the comparison is inconclusive, the
//! baseline's build runs again, in turns with the new one, because a machine changes more between
//! two measurements than llama.cpp does.

use std::collections::BTreeSet;
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow};

use crate::bench::baseline::{
    Baseline, Change, Method, Saved, Turns, TurnsOfTest, Verdict, changes, choose, findings,
    not_confirmed,
};
use crate::bench::comparison::Samples;
use crate::bench::deploy::copy;
use crate::bench::document::BenchReport;
use crate::bench::machine::Machine;
use crate::bench::measure::Setup;
use crate::bench::measurement::Subject;
use crate::bench::paired_run::{self, ComparisonTarget, Rounds};
use crate::bench::recorder::{Recorder, is_time_up, not_recorded};
use crate::bench::results::{lines_by_run, runs};
use crate::bench::results_file::ResultsFile;
use crate::findings::finding::{Finding, Severity, or_finding};
use crate::fleet::context::Context;
use crate::nix::gc_roots::Links;
use crate::nix::store;
use crate::system::{disk, files, json_lines};
use crate::ui::sanitize::sanitize;

/// Maximum number of times that the rounds are repeated until the interval is narrow.
const MAX_BATCHES: u32 = 3;

/// Compares the new run with the baseline, and adds the verdict and its findings to the report.
pub fn judge(
    context: &Context,
    recorder: &Recorder,
    saved: Saved,
    report: &mut BenchReport,
) -> Result<()> {
    let Recorder { records, setup, subject, .. } = *recorder;
    let Setup { ui, machine, .. } = setup;
    let mut runs = runs(records.newest_first()?);
    let Some(new) = runs.find(|run| run.about.run == recorder.run) else {
        return Ok(());
    };
    let Some((base, was_saved)) = choose(saved.runs(), runs, &new) else {
        ui.status(format!(
            "nothing to compare with: no complete earlier run of {} is of the same tests, model, \
             flags and hardware",
            subject.host
        ));
        return Ok(());
    };
    let (mut method, mut turns, mut unconfirmed) = (Method::Stored, None, None);
    let mut decided = changes(&base.samples, &new.samples, method);
    let is_open = |change: &&Change| change.verdict != Verdict::Same || !change.is_clear();
    if decided.iter().any(|change| is_open(&change)) && base.about.store_path != subject.store_path
    {
        let old = Subject { store_path: base.about.store_path.clone(), ..subject.clone() };
        if is_available(context, machine, &old, subject)? {
            for change in decided.iter().filter(is_open) {
                ui.status(format!("{} against the stored baseline", change.in_words()));
            }
            let paired = in_turns(setup, [&old, subject])?;
            if let Some((changes, samples)) = paired.filter(|(changes, _)| !changes.is_empty()) {
                method = Method::SideBySide;
                unconfirmed = not_confirmed(&decided, &changes);
                decided = changes;
                turns = Some(samples);
            }
        }
    }
    let Some(mut baseline) = Baseline::new(&base, was_saved, method, decided) else {
        return Ok(());
    };
    baseline.turns = turns;
    report.prepend(findings(&baseline, &new.about, &context.testbed_option()));
    report.prepend(unconfirmed);
    report.baseline = Some(baseline);
    Ok(())
}

/// Whether the baseline's build can run on the target. It may have been garbage-collected, and its
/// path comes from a committed file, which anyone with commit access can edit.
fn is_available(
    context: &Context,
    machine: &Machine,
    old: &Subject,
    new: &Subject,
) -> Result<bool> {
    let nix = &context.flake.nix;
    let path = &old.store_path;
    if !path.is_in_store_of(&new.store_path)
        || store::valid(nix, &BTreeSet::from([path.clone()]))?.is_empty()
    {
        context.ui.status(format!(
            "the baseline's build {} is not in the store: the stored result decides",
            sanitize(path.as_str())
        ));
        return Ok(false);
    }
    match or_finding(copy(context, machine, old))? {
        Ok(()) => Ok(true),
        Err(finding) => {
            context.ui.status(format!("the stored result decides: {}", finding.message));
            Ok(false)
        }
    }
}

/// Runs both builds in turns until every change is clear, for at most [`MAX_BATCHES`] times the
/// rounds.
fn in_turns(setup: Setup, [old, new]: [&Subject; 2]) -> Result<Option<(Vec<Change>, Turns)>> {
    let Setup { ui, params, .. } = setup;
    let targets = [("baseline", old), ("new", new)]
        .map(|(label, subject)| ComparisonTarget::new(label, subject));
    let seed = paired_run::random_seed();
    let mut batch = Instant::now();
    let mut enough = |round: u32, samples: &[Samples]| {
        if is_time_up(params, round, batch) {
            return true;
        }
        let complete = round.is_multiple_of(params.rounds);
        if complete {
            batch = Instant::now();
        }
        let changes = || changes(&samples[0], &samples[1], Method::SideBySide);
        complete && changes().iter().all(Change::is_clear)
    };
    ui.status("measuring the baseline's build and the new one in turns");
    let most = params.rounds * MAX_BATCHES;
    let rounds = Rounds { most, seed, enough: Some(&mut enough) };
    let run = paired_run::run(setup, &targets, rounds)?;
    if let Some(finding) = run.finding {
        ui.status(format!("the stored result decides: {}", finding.message));
        return Ok(None);
    }
    let [old, new] = &run.samples[..] else { return Ok(None) };
    let tests = new.tests().map(|(test, new)| TurnsOfTest {
        test: test.to_owned(),
        baseline: old.of(test).to_vec(),
        new: new.to_vec(),
    });
    let turns = Turns { seed, tests: tests.filter(|test| !test.baseline.is_empty()).collect() };
    Ok(Some((changes(old, new, Method::SideBySide), turns)))
}

/// Protects this build from garbage collection while later results are compared with it. `role` is
/// `last` or `baseline`; each has one GC root per results file.
pub fn protect(context: &Context, recorder: &Recorder, role: &str) {
    let path = &recorder.subject.store_path;
    let name = format!("{}-{role}", recorder.records.results.with_extension("").display());
    // A file name has at most 255 bytes; the end of a long path is the more specific part.
    let name: String = name.chars().skip(name.chars().count().saturating_sub(120)).collect();
    let linked = Links::open(&context.home.join("roots/bench"))
        .and_then(|links| links.link(&context.flake.nix, &name, path));
    if let Err(error) = linked {
        context.ui.debug(format!("cannot protect {path} from garbage collection: {error:#}"));
    }
}

/// Reads the saved runs.
///
/// # Errors
/// The file cannot be read, or is not a baseline file.
pub fn saved(records: &ResultsFile) -> Result<Saved> {
    let file = records.baseline.display();
    Saved::parse(&json_lines::read(&records.baseline)?).map_err(|problem| {
        anyhow!(
            "{file} is not a baseline ({problem}): restore it with `git checkout`, or remove it \
             and use --save-baseline"
        )
    })
}

/// Saves this run as the baseline, unless it has an error. A failure to save it is a finding.
pub fn save(context: &Context, recorder: &Recorder, report: &mut BenchReport) {
    let ui = &context.ui;
    // A regression does not prevent it: the user may accept a slower build.
    let is_error =
        |finding: &&Finding| finding.code != "regression" && finding.severity == Severity::Error;
    if let Some(finding) = report.findings.iter().find(is_error) {
        ui.warn(format!("baseline unchanged: {}", finding.message));
        return;
    }
    if let Err(error) = write(recorder) {
        report.add([not_recorded("save the baseline", &error)]);
        return;
    }
    ui.status(format!("saved as the baseline in {}", recorder.records.baseline.display()));
    protect(context, recorder, "baseline");
    report.findings.retain(|finding| finding.code != "regression");
    report.refresh();
}

/// Writes this run's records to the baseline's file.
fn write(recorder: &Recorder) -> Result<()> {
    let mut runs = lines_by_run(recorder.records.newest_first()?);
    let lines = runs.find(|lines| lines[0].run == recorder.run);
    let mut saved = saved(recorder.records)?;
    saved.save(lines.context("the results file has no line of this run")?);
    let file = &recorder.records.baseline;
    disk::create(disk::folder_of(file))?;
    files::write_atomically(file, (serde_json::to_string_pretty(&saved)? + "\n").as_bytes())
}
