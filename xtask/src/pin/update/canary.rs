//! Canaries: hosts on which the revision before and the new one are run alternately, so
//! that whatever else the machine does meets both; judged as `bench` judges.

use anyhow::{Context as _, Result};

use crate::bench::baseline::{Change, Method, Verdict, change, told};
use crate::bench::command::from_selection;
use crate::bench::measurement::Subject;
use crate::bench::paired_run::Rounds;
use crate::bench::race::Course;
use crate::findings::finding::Finding;
use crate::fleet::context::Context;
use crate::nix::names::HostName;
use crate::pin::args::UpdateArgs;
use crate::pin::update::evaluation::Fleet;
use crate::pin::update::interrupted;
use crate::pin::update::report::{HostState, HostUpdate, Speed, UpdateReport};
use crate::target::selection::LOCAL;
use crate::upstream::trial_fleet::{PinState, TrialFleet};

/// Rounds of each race; another one follows where it is not clear yet.
const RACES: [u32; 3] = [6, 10, 16];

/// The canaries' machines: asked for before anything is built.
///
/// # Errors
/// A canary is no host of the flake, or the flake does not say where it is.
pub fn reach(
    args: &UpdateArgs,
    context: &Context,
    report: &mut UpdateReport,
) -> Result<Vec<(HostName, Course)>> {
    let hosts: Vec<String> = args.bench.iter().filter(|name| *name != LOCAL).cloned().collect();
    if !hosts.is_empty() {
        context.hosts(&hosts)?;
    }
    let mut courses = vec![];
    for name in &args.bench {
        let host = HostName::new(name.clone());
        match Course::reach(context, name)? {
            Ok(course) => courses.push((host, course)),
            Err(finding) => fail(report, &host, finding),
        }
    }
    Ok(courses)
}

pub fn run(
    courses: Vec<(HostName, Course)>,
    pin: &PinState<'_>,
    trial: &TrialFleet,
    before: &Fleet,
    after: &Fleet,
    report: &mut UpdateReport,
) -> Result<()> {
    for (host, course) in courses {
        // It failed before it could be measured, and stays where it is.
        if report.held().any(|held| held.host == host) {
            continue;
        }
        let subject = |fleet: &Fleet| {
            let selection = fleet.selection(&host).cloned();
            selection.map(|selection| from_selection(host.clone(), selection))
        };
        let (was, is) = if host.as_str() == LOCAL {
            let pair = (course.tuned(pin.context)?, course.tuned(&trial.context)?);
            report.hosts.push(this_machine(&pair.0, &pair.1));
            pair
        } else {
            let what = || format!("{host} does not use llama.cpp, so there is nothing to measure");
            (subject(before).with_context(what)?, subject(after).with_context(what)?)
        };
        if was.drv_path == is.drv_path {
            continue;
        }
        measure(pin, &course, &host, (&was, &is), report)?;
        interrupted()?;
    }
    Ok(())
}

fn this_machine(was: &Subject, is: &Subject) -> HostUpdate {
    let same = was.drv_path == is.drv_path;
    let state = if same { HostState::Unchanged } else { HostState::Changed };
    HostUpdate {
        variant: Some(is.manifest.variant.clone()),
        before: Some(was.drv_path.clone()),
        after: Some(is.drv_path.clone()),
        ..HostUpdate::new(HostName::new(LOCAL), state)
    }
}

/// Races until it is clear, or for as long as is reasonable.
fn measure(
    pin: &PinState<'_>,
    course: &Course,
    host: &HostName,
    (was, is): (&Subject, &Subject),
    report: &mut UpdateReport,
) -> Result<()> {
    let ui = &pin.context.ui;
    let (mut before, mut after) = (Rounds::new(), Rounds::new());
    let mut changes: Vec<Change> = vec![];
    for rounds in RACES {
        ui.say(format!("measuring {host} before and after, {rounds} rounds"));
        let comparison = match course.race(pin.context, was, is, rounds)? {
            Ok(comparison) => comparison,
            Err(finding) => {
                fail(report, host, finding);
                return Ok(());
            }
        };
        interrupted()?;
        if let Some(finding) = comparison.findings.first() {
            fail(report, host, finding.clone());
            return Ok(());
        }
        let mut contenders = comparison.rounds.into_iter();
        for all in [&mut before, &mut after] {
            for (test, rounds) in contenders.next().unwrap_or_default() {
                all.entry(test).or_default().extend(rounds);
            }
        }
        changes = before
            .iter()
            .filter_map(|(test, old)| change(test, old, after.get(test)?, Method::SideBySide))
            .collect();
        if changes.iter().all(Change::is_clear) {
            break;
        }
    }
    judge(report, host, is, &changes);
    Ok(())
}

fn judge(report: &mut UpdateReport, host: &HostName, is: &Subject, changes: &[Change]) {
    if let Some(host) = report.hosts.iter_mut().find(|it| it.host == *host) {
        host.speeds = changes.iter().map(speed).collect();
        let unclear: Vec<String> =
            changes.iter().filter(|change| !change.is_clear()).map(named).collect();
        if !unclear.is_empty() {
            host.findings.push(Finding::warning(
                "unsteady",
                format!("inconclusive: the machine is too noisy ({})", unclear.join(", ")),
                "run `cargo xtask bench` there when the machine is quieter",
            ));
        }
    }
    let slower: Vec<String> =
        changes.iter().filter(|change| change.verdict == Verdict::Slower).map(named).collect();
    if !slower.is_empty() {
        let finding = Finding::error(
            "slower",
            format!(
                "{} is slower with the new revision: {}",
                is.manifest.variant,
                slower.join(", ")
            ),
            "see what upstream changed; leave this host out of --bench to update anyway",
        );
        fail(report, host, finding);
    }
}

fn named(change: &Change) -> String {
    format!("{} {}", change.test, told(change))
}

fn speed(change: &Change) -> Speed {
    Speed {
        test: change.test.clone(),
        before: change.baseline_tokens_per_second,
        after: change.tokens_per_second,
        change_percent: change.change_percent,
    }
}

fn fail(report: &mut UpdateReport, host: &HostName, finding: Finding) {
    match report.hosts.iter_mut().find(|it| it.host == *host) {
        Some(host) => {
            host.state = HostState::Fails;
            host.findings.push(finding);
        }
        None => {
            report.findings.push(finding);
            report.fail_at(crate::pin::update::report::Stage::Bench);
        }
    }
}
