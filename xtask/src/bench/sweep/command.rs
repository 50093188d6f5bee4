//! `bench HOST --sweep …`: llama-bench over a grid of its parameters. A configuration
//! that fails is a row of the result; what ends the sweep is ours or the target's.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::bench::args::BenchArgs;
use crate::bench::command::{params, subject};
use crate::bench::deploy::get_ready;
use crate::bench::document::BenchReport;
use crate::bench::machine::Machine;
use crate::bench::measure::{Results, Setup, measure};
use crate::bench::measurement::{Params, Refusal, Subject};
use crate::bench::model::choice::chosen_model;
use crate::bench::preflight::{check_afterwards, preflight};
use crate::bench::sweep::grid::{MOST, Parameter, Point, grid, resolve, size};
use crate::bench::sweep::journal;
use crate::bench::sweep::report::SweepReport;
use crate::bench::sweep::search::{CompletedRun, NextRun, Plan};
use crate::findings::finding::{Finding, Severity, none_is_an_error};
use crate::findings::outcome::Outcome;
use crate::findings::view::print;
use crate::fleet::context::Context;
use crate::hardware::kv_cache;
use crate::system::{disk, files, interrupt, json_lines};
use crate::target::refuse;
use crate::ui::{Ui, units};

/// For llama-bench to print its help, whatever the machine.
const HELP: Duration = Duration::from_secs(60);
/// A grid that would take longer must be asked for by its rounds or its budget.
const LONG: f64 = 3600.0;

pub fn run(args: &BenchArgs, context: &Context, machine: &Machine) -> Result<Outcome> {
    // Discover.
    let points = size(&args.sweep.sweep);
    if points > MOST {
        bail!("--sweep: {points} combinations are more than {MOST}: use fewer values");
    }
    let subject = subject(context, &args.host, machine)?;
    let mut findings = preflight(machine, &subject, &[], args.force)?;
    let mut model = chosen_model(args, &subject)?;
    if !none_is_an_error(&findings) {
        bail!(Refusal(findings));
    }
    let model_path = get_ready(args, context, machine, &subject, &mut model)?;
    let params = params(args, &subject);
    let (ui, model) = (&context.ui, &model.about);
    let setup = Setup { ui, machine, model, model_path: &model_path, params: &params };
    let help = help(machine, &subject)?;
    let parameters = resolve(&args.sweep.sweep, &help, machine.target.name()).map_err(Refusal)?;
    // Each parameter with all of its values, as llama-bench takes them too.
    let all = Point(args.sweep.sweep.iter().map(|one| one.values.join(",")).collect());
    let all = all.args(&parameters, &params.args);
    findings.extend(kv_cache::judge_bench(&subject.manifest, &all));
    // Plan.
    let sweep = Sweep::new(args, context, setup, &subject, parameters);
    let mut ran = sweep.earlier(args)?;
    if ran.is_empty() || args.sweep.dry_run {
        let seconds = sweep.estimate(args)?;
        if args.sweep.dry_run {
            context.ui.document(&sweep.planned(seconds))?;
            return Ok(Outcome::Ok);
        }
    }
    // Run.
    let ended = sweep.go(&mut ran)?;
    // Report.
    let mut report = sweep.report(&ran);
    check_afterwards(machine, &mut report);
    findings.extend(ended);
    report.precede(findings);
    context.ui.document(&report)?;
    sweep.print(&report);
    let complete = report.sweep.as_ref().is_some_and(|sweep| sweep.complete);
    if complete && none_is_an_error(&report.findings) {
        disk::remove(&sweep.journal)?;
    }
    Ok(Outcome::new(report.ok, &report.findings))
}

/// What the target's own llama-bench says of its parameters.
fn help(machine: &Machine, subject: &Subject) -> Result<String> {
    let program = machine.target.on_disk(&subject.llama_bench());
    let problem = match machine.target.read(&[&program, "--help"], HELP) {
        Ok((exit, said)) if exit.ok() && said.stdout.contains("--help") => return Ok(said.stdout),
        Ok((exit, _)) => format!("{exit}"),
        Err(error) if error.is::<Finding>() => return Err(error),
        Err(error) => format!("{error:#}"),
    };
    refuse(Finding::error(
        "no-help",
        format!("`llama-bench --help` on {} lists no parameters: {problem}", machine.target.name()),
        "try `bench` without --sweep there",
    ))
}

struct Sweep<'a> {
    setup: Setup<'a>,
    subject: &'a Subject,
    parameters: Vec<Parameter>,
    points: Vec<Point>,
    plan: Plan,
    about: journal::Subject,
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
        let points = grid(&parameters);
        let about = journal::Subject {
            schema: 1,
            host: args.host.clone(),
            target: machine.target.name().to_owned(),
            store_path: subject.store_path.to_string(),
            model: model_path.to_owned(),
            model_bytes: model.bytes,
            tests: params.tests(),
            repetitions: params.repetitions,
            // What it is started with makes as much of a difference.
            flags: [machine.env.clone(), params.flags(&subject.manifest.backends)].concat(),
            options: parameters.iter().map(|parameter| parameter.option.clone()).collect(),
            points: points.clone(),
            halving: args.sweep.budget.is_some(),
        };
        let hash = about.hash();
        let name = format!("{}-{hash:016x}.jsonl", files::safe_name(&args.host));
        let plan = Plan {
            points: points.len(),
            rounds: params.rounds,
            repetitions: params.repetitions,
            budget: args.sweep.budget.map(|budget| budget.as_secs_f64()),
            seed: hash,
            goal: args.sweep.goal,
        };
        let journal = context.home.join("sweeps").join(name);
        Self { setup, subject, parameters, points, plan, about, journal }
    }

    /// What an interrupted sweep measured; a journal is begun where there is none.
    fn earlier(&self, args: &BenchArgs) -> Result<Vec<CompletedRun>> {
        let text = json_lines::read(&self.journal)?;
        let ran = journal::read(&text, &self.about).filter(|_| !args.sweep.fresh);
        if let Some(ran) = ran {
            if !ran.is_empty() {
                self.setup.ui.status(format!(
                    "resuming after {} runs of an interrupted sweep (--fresh starts over)",
                    ran.len()
                ));
            }
            return Ok(ran);
        }
        disk::remove(&self.journal)?;
        json_lines::append(&self.journal, &self.about)?;
        Ok(vec![])
    }

    /// Times one run, so that nobody learns after an hour that it takes ten: seconds of the
    /// whole grid.
    fn estimate(&self, args: &BenchArgs) -> Result<f64> {
        let first = NextRun { point: 0, round: 1, repetitions: self.plan.repetitions };
        let began = Instant::now();
        let report = self.measure(first)?;
        let seconds = began.elapsed().as_secs_f64();
        if let Some(finding) = report.findings.into_iter().find(ends_the_sweep) {
            return refuse(finding);
        }
        let points = self.points.len();
        let runs = points as f64 * f64::from(self.plan.rounds);
        let all = units::seconds(runs * seconds);
        let one = format!("{seconds:.1} s a run");
        self.setup.ui.status(match self.plan.budget {
            None => {
                format!("{points} configurations, {} rounds, {one}: about {all}", self.plan.rounds)
            }
            Some(budget) => format!(
                "{points} configurations, {one}: {} of about {all} for all rounds",
                units::seconds(budget)
            ),
        });
        let asked = args.rounds.is_some() || args.force || args.sweep.dry_run;
        let too_long = match self.plan.budget {
            None => !asked && runs * seconds > LONG,
            Some(budget) => points as f64 * seconds / f64::from(self.plan.repetitions) > budget,
        };
        if too_long && !args.sweep.dry_run {
            let (what, help) = match self.plan.budget {
                None => (
                    format!(
                        "{points} configurations in {} rounds would take about {all}",
                        self.plan.rounds
                    ),
                    "set a --budget, such as 30m, or --rounds",
                ),
                Some(_) => (
                    format!("budget too small to run each of {points} configurations once ({one})"),
                    "raise --budget, or use fewer values",
                ),
            };
            return refuse(Finding::error("sweep-too-large", what, help));
        }
        Ok(runs * seconds)
    }

    /// The document of a dry run.
    fn planned(&self, estimated_seconds: f64) -> serde_json::Value {
        let names: Vec<String> =
            self.points.iter().map(|point| point.label(&self.parameters)).collect();
        serde_json::json!({
            "schema": 1, "command": "bench", "host": self.subject.host, "results": [],
            "sweep": {
                "parameters": self.parameters, "configurations": names,
                "rounds": self.plan.rounds, "estimatedSeconds": estimated_seconds,
            },
            "findings": [], "ok": true,
        })
    }

    fn params(&self, turn: NextRun) -> Params {
        let args = self.points[turn.point].args(&self.parameters, &self.setup.params.args);
        Params { repetitions: turn.repetitions, args, ..self.setup.params.clone() }
    }

    fn measure(&self, turn: NextRun) -> Result<BenchReport> {
        let llama_bench = self.setup.machine.target.on_disk(&self.subject.llama_bench());
        let (ui, params) = (&Ui { quiet: true, ..*self.setup.ui }, &self.params(turn));
        let mut results = Results::default();
        let setup = Setup { ui, params, ..self.setup };
        let mut report = measure(setup, self.subject, &llama_bench, &mut results)?;
        if let Some(setting) = results.differing.first() {
            report.findings.push(Finding::error(
                "no-parameter",
                format!("llama-bench split a value: it measured several values of {setting}"),
                "separate the values of --sweep by commas, and give other arguments one value",
            ));
        }
        Ok(report)
    }

    /// To the end, or to what ended it.
    fn go(&self, ran: &mut Vec<CompletedRun>) -> Result<Option<Finding>> {
        let mut round = 0;
        while let Some(turn) = self.plan.state(ran).next {
            if interrupt::requested() {
                return Ok(Some(interrupted()));
            }
            if turn.round > round {
                round = turn.round;
                let alive = self.plan.state(ran).alive;
                self.setup.ui.status(format!("round {round}: {alive} configurations"));
            }
            let began = Instant::now();
            let report = self.measure(turn)?;
            let seconds = began.elapsed().as_secs_f64();
            let label = self.points[turn.point].label(&self.parameters);
            let wrong = report.findings.iter().find(|finding| finding.severity == Severity::Error);
            let outcome = match wrong {
                Some(finding) if ends_the_sweep(finding) => return Ok(Some(finding.clone())),
                Some(finding) => Err(finding.message.clone()),
                None => Ok(report.results),
            };
            match &outcome {
                Ok(results) => {
                    let told = results
                        .iter()
                        .map(|r| format!("{} {}", r.test, units::speed(r.tokens_per_second)));
                    let told: Vec<String> = told.collect();
                    self.setup.ui.status(format!("  {label}: {} tokens/s", told.join(", ")));
                }
                Err(reason) => self.setup.ui.warn(format!("  {label}: {reason}")),
            }
            let one = CompletedRun { point: turn.point, round: turn.round, seconds, outcome };
            json_lines::append(&self.journal, &journal::line(&self.points, &one))?;
            ran.push(one);
        }
        Ok(None)
    }

    fn report(&self, ran: &[CompletedRun]) -> BenchReport {
        let state = self.plan.state(ran);
        let seconds = ran.iter().map(|ran| ran.seconds).sum();
        let (plan, base) = (&self.plan, &self.setup.params.args);
        let (parameters, points) = (self.parameters.clone(), &self.points);
        let extra_flags = self.subject.manifest.service_has_extra_flags;
        let sweep = SweepReport::new(plan, &state, parameters, points, base, seconds, extra_flags);
        let target = self.setup.machine.target.name();
        let mut report =
            BenchReport::new(self.subject, target, self.setup.model.clone(), None, vec![]);
        let best = sweep.best.as_ref();
        let best = sweep.configurations.iter().position(|one| Some(&one.name) == best);
        match best.map(|best| &state.points[best]) {
            Some(best) => {
                let tests = best.tests.iter().flatten().cloned();
                tests.for_each(|result| result.add_to(&mut report.results));
            }
            None => report.findings.push(Finding::error(
                "nothing-measured",
                format!("no configuration could be measured on {target}"),
                "see the reasons in the table; try `bench` without --sweep there",
            )),
        }
        report.log = self.setup.machine.written_log();
        report.findings.extend(sweep.few_rounds(target));
        report.sweep = Some(sweep);
        report
    }

    fn print(&self, report: &BenchReport) {
        if let Some(sweep) = &report.sweep {
            crate::bench::sweep::view::print(self.setup.ui, sweep);
        }
        let host = self.subject.host.as_str();
        report.findings.iter().for_each(|finding| print(self.setup.ui, host, finding));
    }
}

/// The configuration is not to blame: the user, the connection, or the build as a whole.
fn ends_the_sweep(finding: &Finding) -> bool {
    let code = &finding.code;
    let whole = ["interrupted", "no-llama-bench", "not-executable"].iter().any(|one| code == one);
    whole || code.starts_with("ssh-")
}

fn interrupted() -> Finding {
    Finding::error("interrupted", "interrupted", "run the same command again to resume")
}
