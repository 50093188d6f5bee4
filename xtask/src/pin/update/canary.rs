//! Canaries: hosts on which the old and the new revision run in turns, so that other load affects
//! both. Decides with the statistics of `bench`.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};

use crate::bench::baseline::{Change, Method, Verdict, changes, list};
use crate::bench::canary_machine::CanaryMachine;
use crate::bench::comparison::Samples;
use crate::bench::measurement::Subject;
use crate::bench::paired_run::{PairedRun, Rounds, random_seed};
use crate::findings::finding::{Finding, or_finding};
use crate::fleet::names::HostName;
use crate::pin::update::Update;
use crate::pin::update::evaluation::Fleet;
use crate::pin::update::report::{HostState, HostUpdate, Speed, Stage};
use crate::system::interrupt;
use crate::target::selection::LOCAL;

/// The rounds after which the result is checked. The run ends when every change is clear.
const LOOKS: [u32; 3] = [8, 16, 32];

impl Update<'_> {
    /// Connects to the canaries, before anything is built.
    ///
    /// # Errors
    /// A canary is not a host of the flake, has no target, or no llama.cpp to compare with.
    pub fn reach_canaries(&mut self) -> Result<Vec<(HostName, CanaryMachine)>> {
        let context = self.pin.context;
        let canaries: BTreeSet<String> = self.args.bench.iter().cloned().collect();
        let hosts: Vec<String> = canaries.iter().filter(|name| *name != LOCAL).cloned().collect();
        if !hosts.is_empty() {
            context.hosts(&hosts)?;
        }
        for host in &hosts {
            self.subject(&self.before, &HostName::new(host))?;
        }
        let mut machines = vec![];
        for name in canaries {
            let host = HostName::new(name.clone());
            match or_finding(CanaryMachine::reach(context, &name))? {
                Ok(machine) => machines.push((host, machine)),
                Err(finding) => self.fail(&host, finding),
            }
        }
        Ok(machines)
    }

    pub fn run_canaries(
        &mut self,
        machines: Vec<(HostName, CanaryMachine)>,
        after: &Fleet,
    ) -> Result<()> {
        for (host, machine) in machines {
            // Failed in an earlier stage.
            if self.report.pinned().any(|pinned| pinned.host == host) {
                continue;
            }
            let (old, new) = if host.as_str() == LOCAL {
                let old = machine.tuned(self.pin.context)?;
                let new = machine.tuned(&self.trial.context)?;
                self.report.hosts.push(this_machine(&old, &new));
                (old, new)
            } else {
                (self.subject(&self.before, &host)?, self.subject(after, &host)?)
            };
            if old.drv_path != new.drv_path {
                self.measure(&machine, &host, [&old, &new])?;
                interrupt::check()?;
            }
        }
        Ok(())
    }

    fn subject(&self, fleet: &Fleet, host: &HostName) -> Result<Subject> {
        let selection = fleet.selection(host).with_context(|| {
            format!("{host} has no llama.cpp that evaluates, so there is nothing to measure")
        })?;
        Ok(Subject::new(host.clone(), selection.clone()))
    }

    /// Runs both revisions in turns until every change is clear, or the last round is over.
    fn measure(
        &mut self,
        machine: &CanaryMachine,
        host: &HostName,
        [old, new]: [&Subject; 2],
    ) -> Result<()> {
        let context = self.pin.context;
        context.ui.status(format!("measuring {host} before and after"));
        let compare = |samples: &[Samples]| changes(&samples[0], &samples[1], Method::SideBySide);
        let mut enough = |round: u32, samples: &[Samples]| {
            LOOKS.contains(&round) && compare(samples).iter().all(Change::is_clear)
        };
        let (most, seed) = (LOOKS[LOOKS.len() - 1], random_seed());
        let rounds = Rounds { most, seed, enough: Some(&mut enough) };
        let run = or_finding(machine.compare(context, [old, new], rounds))?;
        interrupt::check()?;
        match run {
            Err(finding) | Ok(PairedRun { finding: Some(finding), .. }) => self.fail(host, finding),
            Ok(run) => self.record_speeds(host, new, &compare(&run.samples)),
        }
        Ok(())
    }

    fn record_speeds(&mut self, host: &HostName, new: &Subject, changes: &[Change]) {
        if let Some(host) = self.report.host(host) {
            host.speeds = changes.iter().map(Speed::of).collect();
            let unclear = list(changes, &|change| !change.is_clear());
            if !unclear.is_empty() {
                host.findings.push(Finding::warning(
                    "inconclusive",
                    format!("inconclusive: the machine is too noisy ({unclear})"),
                    "run `cargo xtask bench` there when the machine is quieter",
                ));
            }
        }
        let slower = list(changes, &|change| change.verdict == Verdict::Slower);
        if !slower.is_empty() {
            let finding = Finding::error(
                "slower",
                format!("{} is slower with the new revision: {slower}", new.manifest.variant),
                "see what upstream changed; leave this host out of --bench to update anyway",
            );
            self.fail(host, finding);
        }
    }

    fn fail(&mut self, host: &HostName, finding: Finding) {
        match self.report.host(host) {
            Some(host) => {
                host.state = HostState::Fails;
                host.findings.push(finding);
            }
            None => self.report.fail(Stage::Bench, finding),
        }
    }
}

fn this_machine(old: &Subject, new: &Subject) -> HostUpdate {
    let same = old.drv_path == new.drv_path;
    let state = if same { HostState::Unchanged } else { HostState::Changed };
    HostUpdate {
        variant: Some(new.manifest.variant.clone()),
        before: old.drv_path.clone(),
        after: new.drv_path.clone(),
        ..HostUpdate::new(HostName::new(LOCAL), state)
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
