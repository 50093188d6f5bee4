//! `bench`: proof on the target that the selected variant runs there, and how fast.

pub mod compare;
mod contenders;
pub mod hold;
pub mod judge;
pub mod measure;
pub mod model;
pub mod preflight;
pub mod race;
pub mod record;
mod sweep;
mod verify;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, bail};

use crate::cli;
use crate::cmd::context::Context;
use crate::cmd::evaluate::Ask;
use crate::cmd::{Outcome, build_all, evaluate};
use crate::domain::bench::{Model, Params, Subject};
use crate::domain::bench_report::BenchReport;
use crate::domain::check::{CheckReport, Evaluated};
use crate::domain::finding::{Finding, none_is_an_error};
use crate::domain::manifest::{Around, Selection};
use crate::domain::microarch::Table;
use crate::domain::names::{HostName, nix_string};
use crate::domain::preflight::closure_fits;
use crate::sys::files::safe_name;
use crate::sys::store;
use crate::sys::survey::machine_name;
use crate::sys::target::Target;
use crate::ui;
use hold::hold;
use measure::{Machine, offload, or_finding};
use model::{Chosen, bring, chosen_model, place_of};
use preflight::{aftermath, preflight};
use record::{Recorder, measure_rounds};
use verify::verify;

/// The host that stands for this machine, whatever the fleet says.
pub const LOCAL: &str = "local";

pub fn run(args: &cli::Bench, context: &Context) -> Result<Outcome> {
    if args.prompt == 0 && args.generate == 0 {
        bail!("--prompt 0 and --generate 0 leave nothing to measure");
    }
    // Discover.
    let mut target = target(args, context)?;
    let _hold = match hold(context, &mut target, &format!("bench {}", args.host), args.wait)? {
        Ok(hold) => hold,
        Err(finding) => return refused(context, &args.host, &[finding]),
    };
    let mut machine = match Machine::discover(&target)? {
        Ok(machine) => machine,
        Err(finding) => return refused(context, &args.host, &[finding]),
    };
    machine.log = Some(log_file(context, &args.host)?);
    machine.env.clone_from(&args.env);
    if !args.sweep.sweep.is_empty() {
        return sweep::run(args, context, &machine);
    }
    // Plan.
    if !args.compare.is_empty() {
        return contenders::run(args, context, &machine);
    }
    let subject = match subject(context, &args.host, &machine)? {
        Ok(subject) => subject,
        Err(findings) => return refused(context, &args.host, &findings),
    };
    let params = params(args, &subject);
    // Run.
    let report = carry_out(args, context, &machine, &subject, &params)?;
    // Report.
    context.ui.document(&report)?;
    ui::bench::print(&context.ui, &report);
    Ok(Outcome::from_ok(report.ok))
}

/// `…/logs/bench/carbon-1763840000-4711.log`: an earlier run's log stays.
fn log_file(context: &Context, host: &str) -> Result<PathBuf> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let seconds = now.context("clock before 1970")?.as_secs();
    let name = format!("{}-{seconds}-{}.log", safe_name(host), std::process::id());
    Ok(context.home.join("logs/bench").join(name))
}

/// What a program reads when there is no variant to report on.
fn refused(context: &Context, host: &str, findings: &[Finding]) -> Result<Outcome> {
    context.ui.document(&serde_json::json!({
        "schema": 1, "command": "bench", "host": host, "results": [],
        "findings": findings, "ok": false,
    }))?;
    for finding in findings {
        context.ui.complain(ui::check::describe(&context.ui, host, finding));
    }
    Ok(Outcome::Findings)
}

/// `--local`, `--target`, or the fleet table's.
fn target(args: &cli::Bench, context: &Context) -> Result<Target> {
    if let Some(destination) = &args.target {
        return Target::ssh(destination, ssh_options());
    }
    if args.local || args.host == LOCAL {
        return Ok(Target::Local);
    }
    let target = fleet_target(context, &args.host)?;
    if target.is_machine(&machine_name()) {
        context.ui.say(format!(
            "{} is this machine, and is measured without SSH (--target={} goes over SSH)",
            args.host,
            target.name()
        ));
        return Ok(Target::Local);
    }
    Ok(target)
}

/// Where the fleet table says that this host is.
pub fn fleet_target(context: &Context, name: &str) -> Result<Target> {
    let host = HostName::new(name);
    let mut fleet = context.flake.fleet()?;
    match fleet.remove(&host).and_then(|entry| entry.target) {
        Some(destination) => Target::ssh(&destination, ssh_options()),
        None => {
            // An unknown host is told as one.
            context.hosts(&[name.to_owned()])?;
            bail!(
                "the flake's `fleet` has no target for {host}: name one with --target, or say \
                 --local for this machine"
            )
        }
    }
}

/// What the user tells Nix's ssh holds for ours.
pub fn ssh_options() -> Vec<String> {
    let options = std::env::var("NIX_SSHOPTS").unwrap_or_default();
    options.split_whitespace().map(str::to_owned).collect()
}

/// The variant that the host selects; for `local`, the one that fits the machine.
fn subject(
    context: &Context,
    name: &str,
    machine: &Machine,
) -> Result<Result<Subject, Vec<Finding>>> {
    let host = HostName::new(name);
    if name == LOCAL {
        let table = Table::embedded().context("microarch.json")?;
        let microarch = machine.microarch(&table).context("no microarchitecture fits this CPU")?;
        return Ok(Ok(from_selection(host, tuned(context, &microarch)?)));
    }
    let hosts = context.hosts(&[name.to_owned()])?;
    let outcomes = evaluate::evaluate(context, &hosts, Ask::default())?;
    if let Some((Evaluated::Selected(selection), _)) = outcomes.get(&host) {
        return Ok(Ok(from_selection(host, selection.as_ref().clone())));
    }
    // The words of `check`.
    let check = CheckReport::new(&hosts, outcomes, &BTreeSet::new());
    Ok(Err(check.hosts.into_iter().flat_map(|host| host.findings).collect()))
}

/// The CPU variant for one microarchitecture.
pub fn tuned(context: &Context, microarch: &str) -> Result<Selection> {
    context.flake.package(&format!(
        "pkgs: pkgs.mkLlamaCpp {{ backends = [ \"cpu\" ]; microarch = {}; }}",
        nix_string(microarch)
    ))
}

pub fn from_selection(host: HostName, selection: Selection) -> Subject {
    let Selection { manifest, drv_path, out_path, .. } = selection;
    Subject { host, manifest, drv_path, store_path: out_path }
}

fn params(args: &cli::Bench, subject: &Subject) -> Params {
    let own = subject.manifest.bench.args.iter();
    Params {
        prompt: args.prompt,
        generate: args.generate,
        repetitions: args.repetitions,
        rounds: args.rounds.unwrap_or(record::ROUNDS),
        patience: if args.rounds.is_some() { Duration::MAX } else { record::PATIENCE },
        timeout: Duration::from_secs(args.timeout),
        args: own.chain(&args.args).cloned().collect(),
    }
}

/// Pre-flight, build, copy, verify, measure; the first of them that fails ends it, as a
/// finding of the report.
fn carry_out(
    args: &cli::Bench,
    context: &Context,
    machine: &Machine,
    subject: &Subject,
    params: &Params,
) -> Result<BenchReport> {
    let (ui, target) = (&context.ui, &machine.target);
    let model = chosen_model(args, subject)?;
    let records = match record::records_of(args, context, subject) {
        Ok(records) => records,
        Err(finding) => {
            let findings = vec![finding];
            return Ok(BenchReport::new(subject, target.name(), model.about, None, findings));
        }
    };
    let mut around = preflight(machine, subject, args.force)?;
    let ready = match none_is_an_error(&around) {
        true => get_ready(args, context, machine, subject, model)?,
        false => Err((model.about, None)),
    };
    let (model, path) = match ready {
        Ok(model) => model,
        Err((about, finding)) => {
            around.extend(finding);
            let mut report = BenchReport::new(subject, target.name(), about, None, around);
            report.conditions = Some(machine.around.conditions.clone());
            return Ok(report);
        }
    };
    let mut verification = vec![];
    if args.verify {
        let (likeness, wrong) = verify(context, machine, subject, &path, params.timeout)?;
        verification = likeness;
        around.extend(wrong);
    }
    let llama_bench = target.on_disk(&llama_bench(subject));
    let mut recorder = Recorder::new(&records, machine, subject, &model, params);
    let mut report = if none_is_an_error(&around) {
        ui.say(format!("measuring {} on {}", subject.manifest.variant, target.name()));
        let place = (&model, path.as_str());
        let offload = offload(ui, machine, subject, &llama_bench, &path, params)?;
        let mut report = measure_rounds(ui, machine, subject, place, params, &mut recorder)?;
        report.account_for(offload, &subject.manifest.backends, &params.args);
        report
    } else {
        BenchReport::new(subject, target.name(), model.clone(), None, vec![])
    };
    report.verification = verification;
    report.env.clone_from(&machine.env);
    report.log = machine.log.as_ref().filter(|log| log.is_file()).map(|f| f.display().to_string());
    aftermath(machine, &mut report);
    report.precede(around);
    if none_is_an_error(&report.findings) && !report.results.is_empty() {
        let place = (&model, path.as_str());
        judge::judge(context, machine, subject, place, params, &recorder, &mut report)?;
        judge::protect(context, &recorder, subject, "last");
    }
    if args.save_baseline {
        judge::save(context, &recorder, subject, &mut report)?;
    }
    Ok(report)
}

/// Builds, copies, and brings the model there: the model and its place on the target.
#[expect(clippy::type_complexity, reason = "what is ready, or what of it is known and why not")]
fn get_ready(
    args: &cli::Bench,
    context: &Context,
    machine: &Machine,
    subject: &Subject,
    chosen: Chosen,
) -> Result<Result<(Model, String), (Model, Option<Finding>)>> {
    let Chosen { mut about, place } = chosen;
    // Asked before the build, which takes longer.
    match place_of(&place, machine, subject)? {
        Ok(bytes) => about.bytes = Some(bytes),
        Err(finding) => return Ok(Err((about, Some(finding)))),
    }
    let built = match (args.build_on, &machine.target) {
        (cli::BuildOn::Target, Target::Ssh(_)) => build_there(context, machine, subject)?,
        _ => match build(context, subject)? {
            None => copy(context, machine, subject)?,
            finding => finding,
        },
    };
    if let Some(finding) = built {
        return Ok(Err((about, Some(finding))));
    }
    Ok(match bring(&place, context, machine)? {
        Ok(path) => Ok((about, path)),
        Err(finding) => Err((about, Some(finding))),
    })
}

/// By the target's own Nix, in its own store.
fn build_there(context: &Context, machine: &Machine, subject: &Subject) -> Result<Option<Finding>> {
    let (ui, target) = (&context.ui, &machine.target);
    ui.say(format!("building {} on {}", subject.manifest.variant, target.name()));
    let built = target.build_there(&context.flake.nix, &subject.drv_path, &mut |_, line| {
        ui.detail(String::from_utf8_lossy(line));
    });
    Ok(or_finding(built)?.err())
}

/// The closure of what is built here, to the target's store.
pub fn copy(context: &Context, machine: &Machine, subject: &Subject) -> Result<Option<Finding>> {
    let (ui, target, path) = (&context.ui, &machine.target, &subject.store_path);
    let Target::Ssh(_) = target else { return Ok(None) };
    let nix = &context.flake.nix;
    let valid = store::valid(nix, &BTreeSet::from([path.clone()]))?;
    let bytes = valid.get(path).and_then(|info| info.closure_size).unwrap_or_default();
    if let Some(full) = closure_fits(bytes, &machine.around, target.name()) {
        match or_finding(target.has(&target.on_disk(path.as_str())))? {
            Ok(true) => {}
            Ok(false) => return Ok(Some(full)),
            Err(finding) => return Ok(Some(finding)),
        }
    }
    ui.say(format!("copying {path} to {}", target.name()));
    let copied = target.copy_closure(nix, path, &mut |_, line| {
        ui.detail(String::from_utf8_lossy(line));
    });
    Ok(or_finding(copied)?.err())
}

/// Where a package holds it.
pub fn llama_bench(subject: &Subject) -> String {
    format!("{}/bin/llama-bench", subject.store_path)
}

/// Why it is not built, if it is not.
pub fn build(context: &Context, subject: &Subject) -> Result<Option<Finding>> {
    let host = &subject.host;
    let selection = Selection {
        manifest: subject.manifest.clone(),
        drv_path: subject.drv_path.clone(),
        out_path: subject.store_path.clone(),
        around: Around::default(),
    };
    let builds = crate::domain::build::distinct([(host, &selection)]);
    let variants = build_all::build(context, &builds, build_all::Limits::default())?;
    Ok(variants.into_iter().find(|variant| !variant.state.well()).map(|variant| {
        let log = variant.log.map(|log| format!("; its log: {log}")).unwrap_or_default();
        let state = variant.state.as_str();
        Finding::error(
            "not-built",
            format!("{} is not built ({state}){log}", variant.variant),
            format!("`cargo xtask build-all {host}` shows more"),
        )
    }))
}

#[cfg(test)]
mod tests;
