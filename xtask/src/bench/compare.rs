//! `bench HOST --compare A B …`: what each name means, and the builds in turns.

use anyhow::{Result, bail};
use serde::Serialize;

use crate::bench::args::BenchArgs;
use crate::bench::command::{params, refused, subject};
use crate::bench::comparison::Standing;
use crate::bench::deploy::comparison_target;
use crate::bench::machine::Machine;
use crate::bench::measurement::{Model, Subject};
use crate::bench::model::choice::chosen_model;
use crate::bench::paired_run::{self, ComparisonTarget, Rounds};
use crate::bench::{results_file, view};
use crate::check::evaluation::{EvalOptions, evaluate};
use crate::findings::finding::{Finding, none_is_an_error, or_finding};
use crate::findings::outcome::Outcome;
use crate::findings::view::describe;
use crate::fleet::context::Context;
use crate::fleet::manifest::Selection;
use crate::fleet::names::HostName;
use crate::nix::flake_input::Revision;
use crate::nix::names::nix_string;
use crate::upstream::revision::choose;
use crate::upstream::trial_fleet::{PinState, TrialFleet};

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    schema: u32,
    command: &'static str,
    host: &'a str,
    target: &'a str,
    model: &'a Model,
    /// Gives the same order again with `--seed`.
    seed: u64,
    subjects: Vec<Compared<'a>>,
    /// Ratios are to the first subject.
    standings: &'a [Standing],
    findings: &'a [Finding],
    ok: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Compared<'a> {
    label: &'a str,
    variant: &'a str,
    rev: Option<&'a str>,
    store_path: &'a str,
}

pub fn run(args: &BenchArgs, context: &Context, machine: &Machine) -> Result<Outcome> {
    // Plan.
    let own = match subject(context, &args.host, machine)? {
        Ok(own) => own,
        Err(findings) => return refused(context, &args.host, &findings),
    };
    // Nix may still read a trial fleet's folder, which goes when it is dropped.
    let mut fleets: Vec<TrialFleet> = vec![];
    let mut subjects: Vec<(&str, Subject)> = vec![];
    for name in &args.compare {
        let found = match name.strip_prefix("rev=") {
            Some(rev) => at_revision(args, context, machine, rev, &mut fleets)?,
            None => named(args, context, &own, name)?,
        };
        match found {
            Ok(subject) => subjects.push((name, subject)),
            Err(findings) => return refused(context, &args.host, &findings),
        }
    }
    let params = params(args, &own);
    let seed = args.seed.unwrap_or_else(|| results_file::now() ^ u64::from(std::process::id()));
    // Run.
    let mut model = chosen_model(args, &own)?;
    let mut model_path = String::new();
    let mut targets = vec![];
    for (label, subject) in subjects {
        match comparison_target(args, context, machine, label, &subject, &mut model)? {
            Ok((target, path)) => {
                targets.push(target);
                model_path = path;
            }
            Err(findings) => return refused(context, &args.host, &findings),
        }
    }
    context.ui.status(format!("{} rounds in random order (--seed {seed})", params.rounds));
    let rounds = Rounds::exactly(params.rounds, seed);
    let place = (&model.about, model_path.as_str());
    let run = paired_run::run(&context.ui, machine, &targets, place, &params, rounds)?;
    // Report.
    let standings = run.standings(&targets);
    let findings: Vec<Finding> = run.finding.into_iter().collect();
    let report = Report {
        schema: 1,
        command: "bench",
        host: &args.host,
        target: machine.target.name(),
        model: &model.about,
        seed,
        subjects: targets.iter().map(about).collect(),
        standings: &standings,
        ok: none_is_an_error(&findings) && !standings.is_empty(),
        findings: &findings,
    };
    context.ui.document(&report)?;
    context.ui.result(view::standings(&context.ui, &standings));
    for finding in &findings {
        context.ui.warn(describe(&context.ui, &args.host, finding));
    }
    Ok(Outcome::from_ok(report.ok))
}

fn about(target: &ComparisonTarget) -> Compared<'_> {
    let Subject { manifest, store_path, .. } = &target.subject;
    Compared {
        label: &target.label,
        variant: manifest.variant.as_str(),
        rev: manifest.rev.as_deref(),
        store_path: store_path.as_str(),
    }
}

type Found = Result<Subject, Vec<Finding>>;

/// # Errors
/// Nothing has this name.
fn named(args: &BenchArgs, context: &Context, own: &Subject, name: &str) -> Result<Found> {
    let host = || own.host.clone();
    let package = |choose: &str| -> Result<Found> {
        Ok(Ok(Subject::new(host(), context.flake.package(choose)?)))
    };
    if name == args.host || name == own.manifest.variant.as_str() {
        return Ok(Ok(own.clone()));
    }
    match name {
        "upstream" => return package("pkgs: pkgs.llama-cpp-upstream"),
        "nixpkgs" => return package("pkgs: pkgs.llama-cpp-nixpkgs"),
        "dispatch" => return package(&like(own, "dispatch")),
        _ => {}
    }
    if let Some(microarch) = name.strip_prefix("microarch=") {
        return package(&like(own, microarch));
    }
    let hosts = context.all_hosts()?.to_vec();
    let outcomes = evaluate(context, &hosts, EvalOptions::default())?;
    let selections: Vec<(&HostName, &Selection)> = outcomes.selected().collect();
    let known = |(host, selection): &&(&HostName, &Selection)| {
        selection.manifest.variant.as_str() == name || host.as_str() == name
    };
    if let Some((_, selection)) = selections.iter().find(known) {
        return Ok(Ok(Subject::new(host(), (*selection).clone())));
    }
    let variants: Vec<&str> =
        selections.iter().map(|(_, selection)| selection.manifest.variant.as_str()).collect();
    bail!(
        "--compare {name}: use {}, upstream, nixpkgs, dispatch, microarch=NAME, rev=REVISION, or a \
         variant of this fleet: {}",
        args.host,
        variants.join(", ")
    )
}

/// Returns the host's variant for another CPU.
fn like(own: &Subject, microarch: &str) -> String {
    let list =
        |items: &[String]| items.iter().map(|item| nix_string(item)).collect::<Vec<_>>().join(" ");
    let manifest = &own.manifest;
    format!(
        "pkgs: pkgs.mkLlamaCpp {{ backends = [ {} ]; microarch = {}; cudaCapabilities = [ {} ]; \
         rocmTargets = [ {} ]; kvCacheTypes = [ {} ]; extraCmakeFlags = [ {} ]; }}",
        list(&manifest.backends),
        nix_string(microarch),
        list(&manifest.cuda_capabilities),
        list(&manifest.rocm_targets),
        list(&manifest.kv_cache_types),
        list(&manifest.extra_cmake_flags)
    )
}

fn trial_fleet(context: &Context, rev: &str) -> Result<TrialFleet> {
    let pin = PinState::read(context, None)?;
    let is_full = rev.len() == 40 && rev.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_full {
        let revision = Revision { rev: rev.to_lowercase(), date: None, build: None };
        return pin.trial_fleet(&revision, None);
    }
    let chosen = choose(&pin, Some(rev))?;
    pin.trial_fleet(&chosen.revision, chosen.named.as_deref())
}

/// Returns the host's variant with llama.cpp at another commit.
fn at_revision(
    args: &BenchArgs,
    context: &Context,
    machine: &Machine,
    rev: &str,
    fleets: &mut Vec<TrialFleet>,
) -> Result<Found> {
    let trial = match or_finding(trial_fleet(context, rev))? {
        Ok(trial) => trial,
        Err(finding) => return Ok(Err(vec![finding])),
    };
    let found = subject(&trial.context, &args.host, machine)?;
    fleets.push(trial);
    Ok(found)
}
