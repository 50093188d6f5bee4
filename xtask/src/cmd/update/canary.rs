//! Canaries: hosts on which the revision before and the new one are run alternately, so
//! that whatever else the machine does meets both. A loss is believed when it is there a
//! second time.

use anyhow::{Context as _, Result};

use super::interrupted;
use crate::cli;
use crate::cmd::bench::compare::Comparison;
use crate::cmd::bench::race::{Course, ROUNDS};
use crate::cmd::bench::{LOCAL, from_selection};
use crate::cmd::candidate::{Candidate, Ground};
use crate::cmd::context::Context;
use crate::cmd::update::trial::Fleet;
use crate::domain::bench::Subject;
use crate::domain::finding::Finding;
use crate::domain::names::HostName;
use crate::domain::update::{HostState, HostUpdate, Speed, UpdateReport};

/// The canaries' machines: asked for before anything is built.
///
/// # Errors
/// A canary is no host of the flake, or the flake does not say where it is.
pub fn reach(
    args: &cli::Update,
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
    ground: &Ground<'_>,
    candidate: &Candidate,
    before: &Fleet,
    after: &Fleet,
    report: &mut UpdateReport,
) -> Result<()> {
    for (host, course) in courses {
        let subject = |fleet: &Fleet| {
            let selection = fleet.selection(&host).cloned();
            selection.map(|selection| from_selection(host.clone(), selection))
        };
        let (was, is) = if host.as_str() == LOCAL {
            let pair = (course.tuned(ground.context)?, course.tuned(&candidate.context)?);
            report.hosts.push(this_machine(&pair.0, &pair.1));
            pair
        } else {
            let what = || format!("{host} has no llama.cpp to measure");
            (subject(before).with_context(what)?, subject(after).with_context(what)?)
        };
        if was.drv_path == is.drv_path {
            continue;
        }
        measure(ground, &course, &host, (&was, &is), report)?;
        interrupted()?;
    }
    Ok(())
}

fn this_machine(was: &Subject, is: &Subject) -> HostUpdate {
    let same = was.drv_path == is.drv_path;
    HostUpdate {
        host: HostName::new(LOCAL),
        variant: Some(is.manifest.variant.clone()),
        before: Some(was.drv_path.clone()),
        after: Some(is.drv_path.clone()),
        state: if same { HostState::Unchanged } else { HostState::Changed },
        closure_bytes_before: None,
        closure_bytes_after: None,
        speeds: vec![],
        findings: vec![],
    }
}

fn measure(
    ground: &Ground<'_>,
    course: &Course,
    host: &HostName,
    (was, is): (&Subject, &Subject),
    report: &mut UpdateReport,
) -> Result<()> {
    let ui = &ground.context.ui;
    let mut lost: Option<Vec<String>> = None;
    for rounds in [ROUNDS, 2 * ROUNDS] {
        ui.say(format!("measuring {host} before and after, {rounds} rounds"));
        let comparison = match course.race(ground.context, was, is, rounds)? {
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
        let speeds = speeds(&comparison);
        let slower: Vec<String> =
            speeds.iter().filter(|speed| speed.is_loss()).map(|speed| speed.test.clone()).collect();
        if let Some(host) = report.hosts.iter_mut().find(|it| it.host == *host) {
            host.speeds = speeds;
        }
        // Twice the same test: else it was the machine.
        lost = Some(match lost {
            None => slower,
            Some(first) => slower.into_iter().filter(|test| first.contains(test)).collect(),
        });
        if lost.as_ref().is_some_and(Vec::is_empty) {
            return Ok(());
        }
    }
    let tests = lost.unwrap_or_default().join(", ");
    let finding = Finding::error(
        "slower",
        format!("{} is slower with the new revision, twice in a row: {tests}", is.manifest.variant),
        "look at what upstream changed; leave this host out of --bench to take it nevertheless",
    );
    fail(report, host, finding);
    Ok(())
}

fn fail(report: &mut UpdateReport, host: &HostName, finding: Finding) {
    match report.hosts.iter_mut().find(|it| it.host == *host) {
        Some(host) => {
            host.state = HostState::Fails;
            host.findings.push(finding);
        }
        None => {
            report.findings.push(finding);
            report.fail_at(crate::domain::update::Stage::Bench);
        }
    }
}

fn speeds(comparison: &Comparison) -> Vec<Speed> {
    let of = |label: &str, test: &str| {
        let mut standings = comparison.standings.iter();
        let found = standings.find(|it| it.label == label && it.test == test);
        found.map(|standing| standing.median_tokens_per_second)
    };
    let tests = comparison.standings.iter().filter(|it| it.label == "before");
    tests
        .filter_map(|it| {
            let (before, after) = (of("before", &it.test)?, of("after", &it.test)?);
            Some(Speed { test: it.test.clone(), before, after })
        })
        .collect()
}
