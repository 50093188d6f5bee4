//! The verdict on a measurement. Where the stored baseline and the new result seem to
//! differ, or cannot be told apart, the baseline's build runs again, in turns with the
//! new one: in the hours between two results a machine changes more than llama.cpp does.

use std::time::Instant;

use anyhow::{Result, anyhow};

use crate::bench::baseline::{
    Baseline, Change, Method, Saved, Turns, TurnsOfTest, Verdict, change, changes, choose,
    findings, told,
};
use crate::bench::document::BenchReport;
use crate::bench::machine::Machine;
use crate::bench::measure::measure;
use crate::bench::measurement::{Model, Params, Subject};
use crate::bench::random::SplitMix;
use crate::bench::recorder::{Recorder, is_enough};
use crate::bench::results::{Record, records as lines_of, runs};
use crate::bench::results_file;
use crate::findings::finding::{Finding, none_is_an_error};
use crate::fleet::context::Context;
use crate::nix::gc_roots::Links;
use crate::system::{disk, files};
use crate::target::or_finding;
use crate::ui::Ui;

/// Until the interval is narrow, but no more often than this.
const MOST_BATCHES: u32 = 3;

/// Holds the new run against the baseline; the verdict and its findings go into the report.
pub fn judge(
    context: &Context,
    machine: &Machine,
    subject: &Subject,
    (model, model_path): (&Model, &str),
    params: &Params,
    recorder: &Recorder,
    report: &mut BenchReport,
) -> Result<()> {
    let ui = &context.ui;
    let all = runs(&recorder.records.text()?);
    let Some(new) = all.iter().rfind(|run| run.about.run == recorder.heading.run) else {
        return Ok(());
    };
    let saved = saved(recorder)?;
    let Some((base, was_saved)) = choose(&saved.runs(), &all, new) else {
        ui.say(format!("no earlier result of {} to compare with: this is the first", subject.host));
        return Ok(());
    };
    let (mut method, mut turns) = (Method::Stored, None);
    let mut decided = changes(&base, new, method);
    let open = |change: &Change| change.verdict != Verdict::Same || !change.is_clear();
    if decided.iter().any(open) && base.about.store_path != subject.store_path {
        let old = Subject {
            store_path: base.about.store_path.clone(),
            manifest: subject.manifest.clone(),
            host: subject.host.clone(),
            drv_path: subject.drv_path.clone(),
        };
        if is_there(context, machine, &old)? {
            for change in decided.iter().filter(|change| open(change)) {
                ui.say(format!("{}: {} against the stored baseline", change.test, told(change)));
            }
            let beside = side_by_side(ui, machine, [&old, subject], (model, model_path), params)?;
            if let Some((changes, samples)) = beside.filter(|(changes, _)| !changes.is_empty()) {
                method = Method::SideBySide;
                decided = changes;
                turns = Some(samples);
            }
        }
    }
    let Some(mut baseline) = Baseline::new(&base, was_saved, method, decided) else {
        return Ok(());
    };
    baseline.turns = turns;
    report.precede(findings(&baseline, &new.about));
    report.baseline = Some(baseline);
    Ok(())
}

/// Whether the baseline's build can be run on the target; it may have been collected.
fn is_there(context: &Context, machine: &Machine, old: &Subject) -> Result<bool> {
    if !std::path::Path::new(old.store_path.as_str()).exists() {
        context.ui.say(format!(
            "the baseline's build {} is no longer in the store: the stored result decides",
            old.store_path
        ));
        return Ok(false);
    }
    let nix = &context.flake.nix;
    let copied = machine.target.copy_closure(nix, &old.store_path, &mut |_, _| {});
    Ok(or_finding(copied)?.is_ok())
}

/// Both in turns, in random order, until what they differ by is clear.
fn side_by_side(
    ui: &Ui,
    machine: &Machine,
    subjects: [&Subject; 2],
    (model, model_path): (&Model, &str),
    params: &Params,
) -> Result<Option<(Vec<Change>, Turns)>> {
    let quiet = Ui { quiet: true, ..*ui };
    let mut samples: [Vec<(String, Vec<Vec<f64>>)>; 2] = [vec![], vec![]];
    let seed = results_file::now() ^ u64::from(std::process::id());
    let mut random = SplitMix(seed);
    let mut decided = vec![];
    for _ in 0..MOST_BATCHES {
        ui.say(format!("measuring both builds in turns, {} rounds of each", params.rounds));
        let started = Instant::now();
        for round in 1..=params.rounds {
            let mut order = [0, 1];
            random.shuffle(&mut order);
            for which in order {
                let bench =
                    machine.target.on_disk(&crate::bench::command::llama_bench(subjects[which]));
                let model = (model, model_path);
                let report = measure(
                    &quiet,
                    machine,
                    subjects[which],
                    &bench,
                    model,
                    params,
                    &mut |_, _| {},
                )?;
                if !none_is_an_error(&report.findings) {
                    ui.say("that run failed: the stored result decides");
                    return Ok(None);
                }
                for result in report.results {
                    let known = &mut samples[which];
                    match known.iter_mut().find(|(test, _)| *test == result.test) {
                        Some((_, rounds)) => rounds.push(result.samples),
                        None => known.push((result.test, vec![result.samples])),
                    }
                }
            }
            if is_enough(params, round, started) {
                break;
            }
        }
        let [old, new] = &samples;
        decided = new
            .iter()
            .filter_map(|(test, new)| {
                let (_, old) = old.iter().find(|(known, _)| known == test)?;
                change(test, old, new, Method::SideBySide)
            })
            .collect();
        if decided.iter().all(Change::is_clear) || started.elapsed() > params.patience {
            break;
        }
    }
    let [old, new] = samples;
    let tests = new.into_iter().filter_map(|(test, new)| {
        let (_, baseline) = old.iter().find(|(known, _)| *known == test)?;
        Some(TurnsOfTest { test, baseline: baseline.clone(), new })
    });
    Ok(Some((decided, Turns { seed, tests: tests.collect() })))
}

/// Keeps this build from Nix's garbage collector for as long as later results are held
/// against it, `as_what`: the last, or the baseline.
pub fn protect(context: &Context, recorder: &Recorder, subject: &Subject, as_what: &str) {
    let name = format!("{}-{as_what}", recorder.records.results.with_extension("").display());
    // A file's name holds 255 bytes, and of a long path the end tells more.
    let name: String = name.chars().skip(name.chars().count().saturating_sub(120)).collect();
    let linked = Links::open(&context.home.join("roots/bench"))
        .and_then(|links| links.link(&context.flake.nix, &name, &subject.store_path));
    if let Err(error) = linked {
        context.ui.detail(format!("{} is no root of Nix's: {error:#}", subject.store_path));
    }
}

fn saved(recorder: &Recorder) -> Result<Saved> {
    let file = recorder.records.baseline.display();
    Saved::parse(&recorder.records.baseline_text()?).map_err(|problem| {
        anyhow!(
            "{file} is no baseline ({problem}): `git checkout` it, or remove it and save another \
             with --save-baseline"
        )
    })
}

/// Makes this run what later ones are held against.
///
/// # Errors
/// The file cannot be read or written. A run with an error is not saved: a finding.
pub fn save(
    context: &Context,
    recorder: &Recorder,
    subject: &Subject,
    report: &mut BenchReport,
) -> Result<()> {
    let ui = &context.ui;
    // A regression is what the user may mean to accept.
    let broken = |finding: &&Finding| {
        finding.code != "regression" && !none_is_an_error(std::slice::from_ref(*finding))
    };
    if let Some(finding) = report.findings.iter().find(broken) {
        ui.complain(format!("the baseline stays as it was: {}", finding.message));
        return Ok(());
    }
    let lines: Vec<Record> = lines_of(&recorder.records.text()?)
        .filter(|line| line.run == recorder.heading.run)
        .collect();
    if lines.is_empty() {
        return Ok(());
    }
    let mut saved = saved(recorder)?;
    saved.save(lines);
    let file = &recorder.records.baseline;
    if let Some(folder) = file.parent() {
        disk::create(folder)?;
    }
    files::write_atomically(file, (serde_json::to_string_pretty(&saved)? + "\n").as_bytes())?;
    ui.say(format!("saved as the baseline in {}", file.display()));
    protect(context, recorder, subject, "baseline");
    report.findings.retain(|finding| finding.code != "regression");
    report.ok = none_is_an_error(&report.findings) && !report.results.is_empty();
    Ok(())
}
