//! Canaries: hosts on which the old and the new revision run in turns, so that other work on the
//! machine affects both. The verdict is that of `bench`.

use anyhow::{Context as _, Result};

use crate::bench::baseline::{Change, Method, Verdict, changes, list};
use crate::bench::canary_machine::CanaryMachine;
use crate::bench::comparison::Samples;
use crate::bench::measurement::Subject;
use crate::bench::paired_run::{PairedRun, Rounds};
use crate::findings::finding::{Finding, or_finding};
use crate::fleet::context::Context;
use crate::fleet::names::HostName;
use crate::pin::args::UpdateArgs;
use crate::pin::update::evaluation::Fleet;
use crate::pin::update::report::{HostState, HostUpdate, Speed, Stage, UpdateReport};
use crate::system::interrupt;
use crate::target::selection::LOCAL;
use crate::upstream::trial_fleet::{PinState, TrialFleet};

/// The rounds after which the result is checked; it ends when every change is clear.
const LOOKS: [u32; 3] = [6, 16, 32];

/// Connects to the canaries, before anything is built.
///
/// # Errors
/// A canary is not a host of the flake, or has no target.
pub fn reach(
    args: &UpdateArgs,
    context: &Context,
    report: &mut UpdateReport,
) -> Result<Vec<(HostName, CanaryMachine)>> {
    let hosts: Vec<String> = args.bench.iter().filter(|name| *name != LOCAL).cloned().collect();
    if !hosts.is_empty() {
        context.hosts(&hosts)?;
    }
    let mut machines = vec![];
    for name in &args.bench {
        let host = HostName::new(name.clone());
        match or_finding(CanaryMachine::reach(context, name))? {
            Ok(machine) => machines.push((host, machine)),
            Err(finding) => fail(report, &host, finding),
        }
    }
    Ok(machines)
}

pub fn run(
    machines: Vec<(HostName, CanaryMachine)>,
    pin: &PinState<'_>,
    trial: &TrialFleet,
    before: &Fleet,
    after: &Fleet,
    report: &mut UpdateReport,
) -> Result<()> {
    for (host, machine) in machines {
        // It failed before it could be measured.
        if report.pinned().any(|pinned| pinned.host == host) {
            continue;
        }
        let subject = |fleet: &Fleet| {
            let selection = fleet.selection(&host).cloned();
            selection.map(|selection| Subject::new(host.clone(), selection))
        };
        let (was, is) = if host.as_str() == LOCAL {
            let pair = (machine.tuned(pin.context)?, machine.tuned(&trial.context)?);
            report.hosts.push(this_machine(&pair.0, &pair.1));
            pair
        } else {
            let what = || format!("{host} does not use llama.cpp, so there is nothing to measure");
            (subject(before).with_context(what)?, subject(after).with_context(what)?)
        };
        if was.drv_path == is.drv_path {
            continue;
        }
        measure(pin, &machine, &host, [&was, &is], report)?;
        interrupt::check()?;
    }
    Ok(())
}

fn this_machine(was: &Subject, is: &Subject) -> HostUpdate {
    let same = was.drv_path == is.drv_path;
    let state = if same { HostState::Unchanged } else { HostState::Changed };
    HostUpdate {
        variant: Some(is.manifest.variant.clone()),
        before: was.drv_path.clone(),
        after: is.drv_path.clone(),
        ..HostUpdate::new(HostName::new(LOCAL), state)
    }
}

/// Runs both in turns until every change is clear, or the last round is over.
fn measure(
    pin: &PinState<'_>,
    machine: &CanaryMachine,
    host: &HostName,
    [was, is]: [&Subject; 2],
    report: &mut UpdateReport,
) -> Result<()> {
    pin.context.ui.status(format!("measuring {host} before and after"));
    let compare = |samples: &[Samples]| changes(&samples[0], &samples[1], Method::SideBySide);
    let mut enough = |round: u32, samples: &[Samples]| {
        LOOKS.contains(&round) && compare(samples).iter().all(Change::is_clear)
    };
    let rounds = Rounds { most: LOOKS[LOOKS.len() - 1], seed: 1, enough: Some(&mut enough) };
    let run = or_finding(machine.compare(pin.context, [was, is], rounds))?;
    interrupt::check()?;
    match run {
        Err(finding) | Ok(PairedRun { finding: Some(finding), .. }) => fail(report, host, finding),
        Ok(run) => judge(report, host, is, &compare(&run.samples)),
    }
    Ok(())
}

fn judge(report: &mut UpdateReport, host: &HostName, is: &Subject, changes: &[Change]) {
    if let Some(host) = report.host(host) {
        host.speeds = changes.iter().map(Speed::of).collect();
        let unclear = list(changes, |change| !change.is_clear());
        if !unclear.is_empty() {
            host.findings.push(Finding::warning(
                "unsteady",
                format!("inconclusive: the machine is too noisy ({unclear})"),
                "run `cargo xtask bench` there when the machine is quieter",
            ));
        }
    }
    let slower = list(changes, |change| change.verdict == Verdict::Slower);
    if !slower.is_empty() {
        let finding = Finding::error(
            "slower",
            format!("{} is slower with the new revision: {slower}", is.manifest.variant),
            "see what upstream changed; leave this host out of --bench to update anyway",
        );
        fail(report, host, finding);
    }
}

impl Speed {
    fn of(change: &Change) -> Self {
        Self {
            test: change.test.clone(),
            before: change.baseline_tokens_per_second,
            after: change.tokens_per_second,
            change_percent: change.change_percent,
        }
    }
}

fn fail(report: &mut UpdateReport, host: &HostName, finding: Finding) {
    match report.host(host) {
        Some(host) => {
            host.state = HostState::Fails;
            host.findings.push(finding);
        }
        None => report.fail(Stage::Bench, finding),
    }
}
