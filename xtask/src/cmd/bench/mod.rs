//! `bench`: proof on the target that the selected variant runs there, and how fast.

pub mod compare;
pub mod measure;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::cli;
use crate::cmd::context::Context;
use crate::cmd::evaluate::Ask;
use crate::cmd::{Outcome, build_all, evaluate};
use crate::domain::bench::{BenchReport, Model, Params, Subject};
use crate::domain::check::{CheckReport, Evaluated};
use crate::domain::finding::{Finding, none_is_an_error};
use crate::domain::manifest::{Around, Selection};
use crate::domain::microarch::Table;
use crate::domain::names::{HostName, nix_string};
use crate::domain::quantize::Quantization;
use crate::domain::smoke_model::{Size, SmokeModel};
use crate::sys::model::smoke_model;
use crate::sys::target::Target;
use crate::ui;
use measure::{Machine, measure, or_finding, preflight};

/// The host that stands for this machine, whatever the fleet says.
pub const LOCAL: &str = "local";

pub fn run(args: &cli::Bench, context: &Context) -> Result<Outcome> {
    if args.prompt == 0 && args.generate == 0 {
        bail!("--prompt 0 and --generate 0 leave nothing to measure");
    }
    // Discover.
    let target = target(args, context)?;
    let machine = match Machine::discover(&target)? {
        Ok(machine) => machine,
        Err(finding) => return refused(context, &args.host, &[finding]),
    };
    // Plan.
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
    fleet_target(context, &args.host)
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
        timeout: Duration::from_secs(args.timeout),
        args: own.chain(&args.args).cloned().collect(),
    }
}

/// Pre-flight, build, copy, measure; the first of them that fails ends it, as a
/// finding of the report.
fn carry_out(
    args: &cli::Bench,
    context: &Context,
    machine: &Machine,
    subject: &Subject,
    params: &Params,
) -> Result<BenchReport> {
    let (ui, target) = (&context.ui, &machine.target);
    let (model, place) = chosen_model(args, subject)?;
    let without =
        |findings| BenchReport::new(subject, target.name(), model.clone(), None, findings);
    let findings = preflight(machine, subject)?;
    if !none_is_an_error(&findings) {
        return Ok(without(findings));
    }
    if let Some(finding) = build(context, subject)? {
        return Ok(without(vec![finding]));
    }
    if let Target::Ssh(_) = target {
        ui.say(format!("copying {} to {}", subject.store_path, target.name()));
    }
    let nix = &context.flake.nix;
    let copied = target.copy_closure(nix, &subject.store_path, &mut |_, line| {
        ui.detail(String::from_utf8_lossy(line));
    });
    if let Err(finding) = or_finding(copied)? {
        return Ok(without(vec![finding]));
    }
    let model_path = match &place {
        Place::OnTarget(path) => path.clone(),
        Place::Smoke(smoke) => {
            let file = smoke_model(&context.home, *smoke)?;
            match or_finding(target.put_file(&file))? {
                Ok(path) => path,
                Err(finding) => return Ok(without(vec![finding])),
            }
        }
    };
    ui.say(format!("measuring {} on {}", subject.manifest.variant, target.name()));
    let llama_bench = target.on_disk(&llama_bench(subject));
    measure(ui, machine, subject, &llama_bench, (&model, &model_path), params)
}

/// Where a package holds it.
pub fn llama_bench(subject: &Subject) -> String {
    format!("{}/bin/llama-bench", subject.store_path)
}

fn build(context: &Context, subject: &Subject) -> Result<Option<Finding>> {
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

/// Where the model is to be had.
enum Place {
    /// A file of the target.
    OnTarget(String),
    Smoke(SmokeModel),
}

/// `--model`, the host's `programs.llama-cpp.bench.model`, or the smoke model.
fn chosen_model(args: &cli::Bench, subject: &Subject) -> Result<(Model, Place)> {
    let named = match (&args.model, &subject.manifest.bench.model) {
        (Some(path), _) => Some(path.to_str().context("--model is not UTF-8")?.to_owned()),
        (None, model) => model.clone(),
    };
    if let Some(path) = named {
        let name = Path::new(&path).file_name().map(|name| name.to_string_lossy().into_owned());
        let name = name.unwrap_or_else(|| path.clone());
        let model = Model { name, params: None, quantization: None, bytes: None };
        return Ok((model, Place::OnTarget(path)));
    }
    let smoke = SmokeModel {
        size: match args.params {
            cli::ModelSize::M29 => Size::M29,
            cli::ModelSize::M88 => Size::M88,
        },
        quantization: match args.quantization {
            cli::Quantization::Q4_0 => Quantization::Q4_0,
            cli::Quantization::Q8_0 => Quantization::Q8_0,
            cli::Quantization::F16 => Quantization::F16,
        },
    };
    Ok((describe(smoke), Place::Smoke(smoke)))
}

/// The smoke model as a report names it.
pub fn describe(smoke: SmokeModel) -> Model {
    Model {
        name: smoke.name(),
        params: Some(smoke.parameters()),
        quantization: Some(smoke.quantization.name().to_owned()),
        bytes: Some(smoke.bytes()),
    }
}

#[cfg(test)]
mod tests;
