//! `bench`: proof on the target that the selected variant runs there, and how fast.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, bail};

use crate::bench::args::{BenchArgs, BuildOn};
use crate::bench::document::BenchReport;
use crate::bench::machine::Machine;
use crate::bench::measure::offload;
use crate::bench::measurement::{Model, Params, Subject};
use crate::bench::model::choice::{Chosen, bring, chosen_model, place_of};
use crate::bench::output_check::command::verify;
use crate::bench::preflight::{aftermath, preflight};
use crate::bench::preflight_rules::closure_fits;
use crate::bench::recorder::{Recorder, measure_rounds};
use crate::bench::session::hold;
use crate::build::command as build_all;
use crate::check::evaluation as evaluate;
use crate::check::evaluation::Ask;
use crate::check::report::{CheckReport, Evaluated};
use crate::findings::finding::{Finding, none_is_an_error};
use crate::findings::outcome::Outcome;
use crate::fleet::context::Context;
use crate::fleet::manifest::{Around, Selection};
use crate::hardware::microarch::Table;
use crate::nix::names::{HostName, nix_string};
use crate::nix::store;
use crate::system::files::safe_name;
use crate::system::resources::machine_name;
use crate::target::selection::{LOCAL, fleet_target, ssh_options};
use crate::target::{Target, or_finding};

pub fn run(args: &BenchArgs, context: &Context) -> Result<Outcome> {
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
        return crate::bench::sweep::command::run(args, context, &machine);
    }
    // Plan.
    if !args.compare.is_empty() {
        return crate::bench::compare::run(args, context, &machine);
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
    crate::bench::view::print(&context.ui, &report);
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
pub(crate) fn refused(context: &Context, host: &str, findings: &[Finding]) -> Result<Outcome> {
    context.ui.document(&serde_json::json!({
        "schema": 1, "command": "bench", "host": host, "results": [],
        "findings": findings, "ok": false,
    }))?;
    for finding in findings {
        context.ui.complain(crate::findings::view::describe(&context.ui, host, finding));
    }
    Ok(Outcome::Findings)
}

/// `--local`, `--target`, or the fleet table's.
pub(crate) fn target(args: &BenchArgs, context: &Context) -> Result<Target> {
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

/// The variant that the host selects; for `local`, the one that fits the machine.
pub(crate) fn subject(
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

pub(crate) fn params(args: &BenchArgs, subject: &Subject) -> Params {
    let own = subject.manifest.bench.args.iter();
    Params {
        prompt: args.prompt,
        generate: args.generate,
        repetitions: args.repetitions,
        rounds: args.rounds.unwrap_or(crate::bench::recorder::ROUNDS),
        patience: if args.rounds.is_some() {
            Duration::MAX
        } else {
            crate::bench::recorder::PATIENCE
        },
        timeout: Duration::from_secs(args.timeout),
        args: own.chain(&args.args).cloned().collect(),
    }
}

/// Pre-flight, build, copy, verify, measure; the first of them that fails ends it, as a
/// finding of the report.
fn carry_out(
    args: &BenchArgs,
    context: &Context,
    machine: &Machine,
    subject: &Subject,
    params: &Params,
) -> Result<BenchReport> {
    let (ui, target) = (&context.ui, &machine.target);
    let model = chosen_model(args, subject)?;
    let records = match crate::bench::recorder::records_of(args, context, subject) {
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
        crate::bench::baseline_check::judge(
            context,
            machine,
            subject,
            place,
            params,
            &recorder,
            &mut report,
        )?;
        crate::bench::baseline_check::protect(context, &recorder, subject, "last");
    }
    if args.save_baseline {
        crate::bench::baseline_check::save(context, &recorder, subject, &mut report)?;
    }
    Ok(report)
}

/// Builds, copies, and brings the model there: the model and its place on the target.
#[expect(clippy::type_complexity, reason = "what is ready, or what of it is known and why not")]
pub(crate) fn get_ready(
    args: &BenchArgs,
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
        (BuildOn::Target, Target::Ssh(_)) => build_there(context, machine, subject)?,
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
    let builds = crate::build::variants::distinct([(host, &selection)]);
    let variants = build_all::build(context, &builds, build_all::Limits::default())?;
    Ok(variants.into_iter().find(|variant| !variant.state.well()).map(|variant| {
        let log = variant.log.map(|log| format!("; its log: {log}")).unwrap_or_default();
        let state = variant.state.as_str();
        Finding::error(
            "not-built",
            format!("{} failed to build ({state}){log}", variant.variant),
            format!("`cargo xtask build-all {host}` shows more"),
        )
    }))
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
