//! `bench HOST --sweep …`: runs llama-bench over a grid of its parameters. A configuration that fails
//! is a row of the result; only problems of xtask or the target end the sweep.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::bench::args::BenchArgs;
use crate::bench::command::{params, subject};
use crate::bench::deploy::prepare;
use crate::bench::document::BenchReport;
use crate::bench::llama_bench::TestResult;
use crate::bench::machine::Machine;
use crate::bench::measure::{Results, Setup, measure};
use crate::bench::measurement::{Params, Refusal, Subject};
use crate::bench::model::choice::chosen_model;
use crate::bench::preflight::check_afterwards;
use crate::bench::sweep::grid::{MAX_POINTS, Parameter, Point, grid, resolve, size};
use crate::bench::sweep::report::{SweepReport, best};
use crate::bench::sweep::search::{CompletedRun, NextRun, Plan, SweepState};
use crate::bench::sweep::{journal, view};
use crate::findings::finding::{Finding, Severity};
use crate::findings::outcome::Outcome;
use crate::findings::view::print;
use crate::fleet::context::Context;
use crate::hardware::kv_cache;
use crate::system::interrupt::{self, Interrupted};
use crate::system::process::Exit;
use crate::system::{disk, files, json_lines};
use crate::ui::{Ui, units};

/// Timeout of `llama-bench --help`.
const HELP_TIMEOUT: Duration = Duration::from_secs(60);
/// Maximum number of configurations that are tried until one can be timed.
const MAX_TRIED: usize = 8;
/// Seconds above which a grid needs --rounds or --budget.
const LONG: f64 = 3600.0;

pub fn run(args: &BenchArgs, context: &Context, machine: &Machine) -> Result<Outcome> {
    // Discover.
    let points = size(&args.sweep.sweep);
    if points > MAX_POINTS {
        bail!("--sweep: {points} combinations are more than {MAX_POINTS}: use fewer values");
    }
    let kinds = [("pp", args.prompt), ("tg", args.generate)];
    let is_measured = |(kind, tokens): &(&str, u32)| *tokens > 0 && args.sweep.goal.counts(kind);
    if !kinds.iter().any(is_measured) && args.args.is_empty() {
        bail!("--goal leaves no test to compare: raise --prompt or --generate");
    }
    let subject = subject(context, &args.host, machine)?;
    let mut model = chosen_model(args, &subject)?;
    // The arguments are checked below, when the names of the parameters are known.
    let (path, mut findings) = prepare(args, context, machine, &subject, &[], &mut model)?;
    let Some(model_path) = path else { bail!(Refusal(findings)) };
    let params = params(args, &subject);
    let (ui, model) = (&context.ui, &model.about);
    let setup = Setup { ui, machine, model, model_path: &model_path, params: &params };
    let help = help(machine, &subject)?;
    let parameters = resolve(&args.sweep.sweep, &help, machine.target.name()).map_err(Refusal)?;
    // Each parameter with all of its values, which llama-bench accepts too.
    let all = Point(args.sweep.sweep.iter().map(|one| one.values.join(",")).collect());
    let all = all.args(&parameters, &params.args);
    findings.extend(kv_cache::bench_findings(&subject.manifest, &all));
    // Plan.
    let sweep = Sweep::new(args, context, setup, &subject, parameters);
    let earlier = sweep.earlier(args)?;
    if args.sweep.dry_run || earlier.as_ref().is_none_or(Vec::is_empty) {
        let seconds = sweep.estimate(args)?;
        if args.sweep.dry_run {
            context.ui.document(&sweep.planned(seconds, &findings))?;
            findings.iter().for_each(|finding| print(ui, &args.host, finding));
            return Ok(Outcome::Ok);
        }
    }
    // Run.
    if earlier.is_none() {
        disk::remove(&sweep.journal)?;
        json_lines::append(&sweep.journal, &sweep.header)?;
    }
    let mut ran = earlier.unwrap_or_default();
    let ended = sweep.complete(&mut ran)?;
    // Report.
    let mut report = sweep.report(&ran);
    check_afterwards(machine, &mut report);
    findings.extend(ended);
    report.prepend(findings);
    context.ui.document(&report)?;
    report.sweep.iter().for_each(|sweep| view::print(ui, sweep));
    report.findings.iter().for_each(|finding| print(ui, &args.host, finding));
    let complete = report.sweep.as_ref().is_some_and(|sweep| sweep.complete);
    if complete {
        disk::remove(&sweep.journal)?;
    }
    Ok(Outcome::new(report.ok, &report.findings))
}

/// Returns the help of the target's llama-bench.
fn help(machine: &Machine, subject: &Subject) -> Result<String> {
    let program = machine.llama_bench(subject);
    let problem = match machine.target.read(&[&program, "--help"], HELP_TIMEOUT) {
        Ok((Exit::Interrupted, _)) => bail!(Interrupted),
        Ok((exit, printed)) if exit.ok() && printed.stdout.contains("--help") => {
            return Ok(printed.stdout);
        }
        Ok((exit, _)) => exit.to_string(),
        Err(error) if error.is::<Finding>() => return Err(error),
        Err(error) => format!("{error:#}"),
    };
    Err(Finding::error(
        "no-help",
        format!("`llama-bench --help` on {} lists no parameters: {problem}", machine.target.name()),
        "try `bench` without --sweep there",
    )
    .into())
}

struct Sweep<'a> {
    setup: Setup<'a>,
    subject: &'a Subject,
    parameters: Vec<Parameter>,
    plan: Plan,
    header: journal::Header,
    journal: PathBuf,
}

impl<'a> Sweep<'a> {
    fn new(
        args: &BenchArgs,
        context: &Context,
        setup: Setup<'a>,
        subject: &'a Subject,
        parameters: Vec<Parameter>,
    ) -> Self {
        let Setup { machine, params, model, model_path, .. } = setup;
        let header = journal::Header {
            schema: 1,
            host: args.host.clone(),
            target: machine.target.name().to_owned(),
            store_path: subject.store_path.to_string(),
            model: model_path.to_owned(),
            model_bytes: model.bytes,
            tests: params.tests(),
            repetitions: params.repetitions,
            // The environment affects the speed like a flag.
            flags: [machine.env.clone(), params.flags(&subject.manifest.backends)].concat(),
            options: parameters.iter().map(|parameter| parameter.option.clone()).collect(),
            points: grid(&parameters),
            halving: args.sweep.budget.is_some(),
        };
        let hash = header.hash();
        let name = format!("{}-{hash:016x}.jsonl", files::safe_name(&args.host));
        let plan = Plan {
            points: header.points.len(),
            rounds: params.rounds,
            repetitions: params.repetitions,
            budget: args.sweep.budget.map(|budget| budget.as_secs_f64()),
            seed: hash,
            goal: args.sweep.goal,
        };
        let journal = context.home.join("sweeps").join(name);
        Self { setup, subject, parameters, plan, header, journal }
    }

    /// Reads the runs of an interrupted sweep. None if there is no journal to resume.
    fn earlier(&self, args: &BenchArgs) -> Result<Option<Vec<CompletedRun>>> {
        let text = json_lines::read(&self.journal)?;
        let ran = journal::read(&text, &self.header).filter(|_| !args.sweep.fresh);
        if let Some(runs) = ran.as_ref().map(Vec::len).filter(|runs| *runs > 0) {
            self.setup.ui.status(format!(
                "resuming after {} of an interrupted sweep (--fresh starts over)",
                units::count(runs, "run")
            ));
        }
        Ok(ran)
    }

    /// Times one run, whose result is discarded, in seconds. A configuration that fails is skipped,
    /// since it may have ended too early.
    fn time_one(&self) -> Result<f64> {
        let mut seconds = 0.0;
        for point in 0..self.header.points.len().min(MAX_TRIED) {
            let began = Instant::now();
            let run = NextRun { point, round: 1, repetitions: self.plan.repetitions };
            let report = self.measure(run)?;
            seconds = began.elapsed().as_secs_f64();
            match report.findings.into_iter().find(|it| it.severity == Severity::Error) {
                Some(finding) if ends_the_sweep(&finding) => bail!(finding),
                Some(finding) if finding.code != "timeout" => {}
                _ => break,
            }
        }
        Ok(seconds)
    }

    /// Estimates the seconds that the whole grid takes, and rejects one that takes too long.
    fn estimate(&self, args: &BenchArgs) -> Result<f64> {
        let seconds = self.time_one()?;
        let (points, rounds) = (self.header.points.len(), self.plan.rounds);
        let whole = points as f64 * f64::from(rounds) * seconds;
        let (all, one) = (units::seconds(whole), format!("{seconds:.1} s a run"));
        let (time, too_large) = match self.plan.budget {
            None => {
                let asked = args.rounds.is_some() || args.force;
                let too_large = (!asked && whole > LONG).then(|| {
                    let what = format!(
                        "{points} configurations in {rounds} rounds would take about {all}"
                    );
                    (what, "set a --budget, such as 30m, or --rounds")
                });
                (format!("{points} configurations, {rounds} rounds, {one}: about {all}"), too_large)
            }
            Some(budget) => {
                let least = points as f64 * seconds / f64::from(self.plan.repetitions);
                let too_large = (least > budget).then(|| {
                    let what = format!(
                        "budget too small to run each of {points} configurations once ({one})"
                    );
                    (what, "raise --budget, or use fewer values")
                });
                let budget = units::seconds(budget);
                let time = format!(
                    "{points} configurations, {one}: {budget} of about {all} for all rounds"
                );
                (time, too_large)
            }
        };
        self.setup.ui.status(time);
        match too_large.filter(|_| !args.sweep.dry_run) {
            Some((what, help)) => Err(Finding::error("sweep-too-large", what, help).into()),
            None => Ok(whole),
        }
    }

    /// Returns the document of a dry run.
    fn planned(&self, estimated_seconds: f64, findings: &[Finding]) -> serde_json::Value {
        let names: Vec<String> =
            self.header.points.iter().map(|point| point.label(&self.parameters)).collect();
        serde_json::json!({
            "schema": 1, "command": "bench", "host": self.subject.host, "results": [],
            "sweep": {
                "parameters": self.parameters, "configurations": names,
                "rounds": self.plan.rounds, "estimatedSeconds": estimated_seconds,
            },
            "findings": findings, "ok": true,
        })
    }

    fn measure(&self, run: NextRun) -> Result<BenchReport> {
        let args = self.header.points[run.point].args(&self.parameters, &self.setup.params.args);
        let params = &Params { repetitions: run.repetitions, args, ..self.setup.params.clone() };
        let setup = Setup { ui: &Ui { quiet: true, ..*self.setup.ui }, params, ..self.setup };
        let mut results = Results::default();
        let mut report = measure(setup, self.subject, &mut results)?;
        if let Some(setting) = results.differing.first() {
            report.findings.push(Finding::error(
                "no-parameter",
                format!("llama-bench split a value: it measured several values of {setting}"),
                "separate the values of --sweep by commas, and give other arguments one value",
            ));
        }
        Ok(report)
    }

    /// Runs the sweep to its end; returns the finding that ended it early.
    fn complete(&self, ran: &mut Vec<CompletedRun>) -> Result<Option<Finding>> {
        let mut round = 0;
        while let SweepState { next: Some(turn), alive, .. } = self.plan.state(ran) {
            if interrupt::requested() {
                let help = "run the same command again to resume";
                return Ok(Some(Finding::error("interrupted", "interrupted", help)));
            }
            if turn.round > round {
                round = turn.round;
                self.setup.ui.status(format!("round {round}: {alive} configurations"));
            }
            let began = Instant::now();
            let report = self.measure(turn)?;
            let seconds = began.elapsed().as_secs_f64();
            let label = self.header.points[turn.point].label(&self.parameters);
            let error = report.findings.iter().find(|finding| finding.severity == Severity::Error);
            let outcome = match error {
                Some(finding) if ends_the_sweep(finding) => return Ok(Some(finding.clone())),
                Some(finding) => Err(finding.message.clone()),
                None => Ok(report.results),
            };
            match &outcome {
                Ok(results) => {
                    let speed = |r: &TestResult| {
                        format!("{} {}", r.test, units::speed(r.tokens_per_second))
                    };
                    let speeds: Vec<String> = results.iter().map(speed).collect();
                    self.setup.ui.status(format!("  {label}: {} tokens/s", speeds.join(", ")));
                }
                Err(reason) => self.setup.ui.warn(format!("  {label}: {reason}")),
            }
            let one = CompletedRun { point: turn.point, round: turn.round, seconds, outcome };
            let written = json_lines::append(&self.journal, &one);
            ran.push(one);
            if let Err(error) = written {
                return Ok(Some(Finding::error(
                    "not-recorded",
                    format!("the sweep ended early: {error:#}"),
                    "fix that, and run the same command again to resume",
                )));
            }
        }
        Ok(None)
    }

    fn report(&self, ran: &[CompletedRun]) -> BenchReport {
        let state = self.plan.state(ran);
        let seconds = ran.iter().map(|ran| ran.seconds).sum();
        let (plan, base) = (&self.plan, &self.setup.params.args);
        let (parameters, points) = (self.parameters.clone(), &self.header.points);
        let extra_flags = self.subject.manifest.service_has_extra_flags;
        let sweep = SweepReport::new(plan, &state, parameters, points, base, seconds, extra_flags);
        let target = self.setup.machine.target.name();
        let mut report =
            BenchReport::new(self.subject, target, self.setup.model.clone(), None, vec![]);
        match best(&state) {
            Some(best) => report.results = state.points[best].samples.results(),
            None => report.findings.push(Finding::error(
                "nothing-measured",
                format!("no configuration could be measured on {target}"),
                "see the reasons in the table; try `bench` without --sweep there",
            )),
        }
        report.env.clone_from(&self.setup.machine.env);
        report.log = self.setup.machine.written_log();
        report.findings.extend(sweep.few_rounds(target));
        report.sweep = Some(sweep);
        report
    }
}

/// Whether the finding is about the user, the connection or the build, not about one configuration.
fn ends_the_sweep(finding: &Finding) -> bool {
    ["interrupted", "no-llama-bench", "not-executable"].contains(&finding.code)
        || finding.code.starts_with("ssh-")
}
