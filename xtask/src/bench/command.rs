//! `bench`: runs the selected variant's llama-bench on the target.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::bench::args::BenchArgs;
use crate::bench::deploy::prepare;
use crate::bench::document::BenchReport;
use crate::bench::machine::Machine;
use crate::bench::measure::{Setup, offload};
use crate::bench::measurement::{Params, Refusal, Subject};
use crate::bench::model::choice::chosen_model;
use crate::bench::output_check::command::{OutputCheck, verify};
use crate::bench::preflight::check_afterwards;
use crate::bench::recorder::{ROUNDS, Recorder, TIME_BUDGET};
use crate::bench::results_file::ResultsFile;
use crate::bench::session::{Session, open};
use crate::bench::{all, baseline_check, compare, memory_bandwidth, sweep, view};
use crate::check::evaluation::{self, EvalOptions};
use crate::check::report::CheckReport;
use crate::findings::finding::{Finding, none_is_an_error};
use crate::findings::outcome::Outcome;
use crate::findings::view::print;
use crate::fleet::context::Context;
use crate::fleet::manifest::Selection;
use crate::fleet::names::HostName;
use crate::nix::names::nix_string;
use crate::system::files::safe_name;
use crate::system::interrupt::{self, Interrupted};
use crate::system::resources::{machine_name, now};
use crate::target::Target;
use crate::target::selection::{LOCAL, fleet_target, ssh_options};

pub fn run(args: &BenchArgs, context: &Context) -> Result<Outcome> {
    // Arguments after `--` may add tests.
    if args.prompt == 0 && args.generate == 0 && args.args.is_empty() {
        bail!("--prompt 0 and --generate 0 leave nothing to measure");
    }
    if args.all {
        return all::run(args, context);
    }
    let target = target(args, context)?;
    let findings = match or_findings(run_on(args, context, target))? {
        Ok(outcome) => return Ok(outcome),
        Err(findings) => findings,
    };
    context.ui.document(&serde_json::json!({
        "schema": 1, "command": "bench", "host": args.host, "results": [],
        "findings": findings, "ok": false,
    }))?;
    findings.iter().for_each(|finding| print(&context.ui, &args.host, finding));
    Ok(Outcome::new(false, &findings))
}

/// Separates findings, which the user should fix, from failures.
pub fn or_findings<T>(result: Result<T>) -> Result<Result<T, Vec<Finding>>> {
    let error = match result {
        Ok(value) => return Ok(Ok(value)),
        Err(error) => error,
    };
    match error.downcast::<Refusal>() {
        Ok(Refusal(findings)) => Ok(Err(findings)),
        Err(error) => Ok(Err(vec![error.downcast::<Finding>()?])),
    }
}

/// Measures a host's variant on its target, as `bench HOST` does.
///
/// # Errors
/// A [`Refusal`] or a [`Finding`] if there is no variant or target to report on.
pub fn measure_host(args: &BenchArgs, context: &Context, target: Target) -> Result<BenchReport> {
    let (_session, machine) = reach(args, context, target)?;
    let subject = subject(context, &args.host, &machine)?;
    measure(args, context, &machine, &subject, &params(args, &subject))
}

fn reach(args: &BenchArgs, context: &Context, mut target: Target) -> Result<(Session, Machine)> {
    let session = open(context, &mut target, &format!("bench {}", args.host), args.wait)?;
    let mut machine = Machine::discover(&target)?;
    machine.log = Some(log_file(context, &args.host));
    machine.env.clone_from(&args.env);
    Ok((session, machine))
}

/// # Errors
/// Those of [`measure_host`].
fn run_on(args: &BenchArgs, context: &Context, target: Target) -> Result<Outcome> {
    if !args.sweep.sweep.is_empty() || !args.compare.is_empty() {
        let (_session, machine) = reach(args, context, target)?;
        return match args.compare.is_empty() {
            true => sweep::command::run(args, context, &machine),
            false => compare::run(args, context, &machine),
        };
    }
    let report = measure_host(args, context, target)?;
    context.ui.document(&report)?;
    view::print(&context.ui, &report);
    Ok(Outcome::new(report.ok, &report.findings))
}

/// Returns a new log file for each run: `…/logs/bench/carbon-1763840000-4711.log`.
fn log_file(context: &Context, host: &str) -> PathBuf {
    let (seconds, process) = (now(), std::process::id());
    let name = format!("{}-{seconds}-{process}.log", safe_name(host));
    context.home.join("logs/bench").join(name)
}

/// Returns the target of `--target`, `--local` or the fleet table.
pub fn target(args: &BenchArgs, context: &Context) -> Result<Target> {
    if let Some(destination) = &args.target {
        return Target::ssh(destination, ssh_options());
    }
    if args.local || args.host == LOCAL {
        return Ok(Target::Local);
    }
    let target = fleet_target(context, &args.host)?;
    if target.is_machine(&machine_name()) {
        context.ui.status(format!(
            "{} is this machine: measuring without SSH (--target={} uses SSH)",
            args.host,
            target.name()
        ));
        return Ok(Target::Local);
    }
    Ok(target)
}

/// Returns the variant that the host selects, or for `local` the CPU variant that fits the machine.
///
/// # Errors
/// A [`Refusal`] if it does not evaluate.
pub fn subject(context: &Context, name: &str, machine: &Machine) -> Result<Subject> {
    if name == LOCAL {
        return tuned_subject(context, machine);
    }
    let host = HostName::new(name);
    let hosts = context.hosts(&[name.to_owned()])?;
    let outcomes = evaluation::evaluate(context, &hosts, EvalOptions::default())?;
    if let Some(selection) = outcomes.selection(&host) {
        return Ok(Subject::new(host, selection.clone()));
    }
    let check = CheckReport::new(&hosts, outcomes, &BTreeSet::new());
    bail!(Refusal(check.hosts.into_iter().flat_map(|host| host.findings).collect()))
}

/// Returns the CPU variant that fits the machine, the subject of `local`.
pub fn tuned_subject(context: &Context, machine: &Machine) -> Result<Subject> {
    let microarch = machine.microarch().context("no microarchitecture fits this CPU")?;
    Ok(Subject::new(HostName::new(LOCAL), tuned(context, &microarch)?))
}

/// Returns the CPU variant for one microarchitecture.
pub fn tuned(context: &Context, microarch: &str) -> Result<Selection> {
    context.flake.package(&format!(
        "pkgs: pkgs.mkLlamaCpp {{ backends = [ \"cpu\" ]; microarch = {}; }}",
        nix_string(microarch)
    ))
}

pub fn params(args: &BenchArgs, subject: &Subject) -> Params {
    Params {
        prompt: args.prompt,
        generate: args.generate,
        repetitions: args.repetitions,
        rounds: args.rounds.unwrap_or(ROUNDS),
        time_budget: if args.rounds.is_some() { Duration::MAX } else { TIME_BUDGET },
        timeout: args.timeout,
        args: subject.manifest.bench_args(&args.args),
    }
}

/// Runs the pre-flight checks, builds, copies, verifies, measures and compares with the baseline.
/// A step that fails is a finding of the report, and ends it.
fn measure(
    args: &BenchArgs,
    context: &Context,
    machine: &Machine,
    subject: &Subject,
    params: &Params,
) -> Result<BenchReport> {
    let (ui, target) = (&context.ui, &machine.target);
    let records = ResultsFile::of_subject(args, context, subject)?;
    // Read first, to report a damaged file before minutes of measuring.
    let saved = baseline_check::saved(&records)?;
    let mut model = chosen_model(args, subject)?;
    let (path, mut before) = prepare(args, context, machine, subject, &params.args, &mut model)?;
    let model = model.about;
    let mut report = BenchReport::new(subject, target.name(), model.clone(), None, vec![]);
    let Some(path) = path else {
        report.conditions = Some(machine.state.conditions.clone());
        report.add(before);
        return Ok(report);
    };
    let mut checked = OutputCheck::default();
    if args.verify {
        checked = verify(context, machine, subject, &path, params.timeout)?;
        before.append(&mut checked.findings);
    }
    let setup = Setup { ui, machine, model: &model, model_path: &path, params };
    let mut recorder = Recorder::new(&records, setup, subject);
    before.iter().for_each(|finding| print(ui, subject.host.as_str(), finding));
    if none_is_an_error(&before) {
        ui.status(format!("measuring {} on {}", subject.manifest.variant, target.name()));
        let offload = offload(setup, subject)?;
        report = recorder.measure()?;
        match memory_bandwidth::measure(setup, subject, &report) {
            Ok(bandwidth) => report.memory_bandwidth = bandwidth,
            // The report shows what was measured before.
            Err(error) if error.is::<Interrupted>() => {}
            Err(error) => report.add([error.downcast::<Finding>()?]),
        }
        if let Some(offload) = offload {
            report.account_for(offload, &subject.manifest.backends, &params.args);
        }
    }
    report.verification = checked.divergences;
    report.completion = checked.completion;
    report.shown.clone_from(&before);
    report.env.clone_from(&machine.env);
    report.log = machine.written_log();
    check_afterwards(machine, &mut report);
    report.prepend(before);
    if report.ok {
        match baseline_check::judge(context, &recorder, saved, &mut report) {
            Err(error) if error.is::<Interrupted>() => {}
            judged => judged?,
        }
        baseline_check::protect(context, &recorder, "last");
    }
    if report.ok && interrupt::requested() {
        report.add([Finding::error(
            "interrupted",
            "interrupted after the measurement, before its verdict was certain",
            "run it again",
        )]);
    }
    if args.save_baseline {
        baseline_check::save(context, &recorder, &mut report);
    }
    Ok(report)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
