//! `bench HOST --compare A,B,…`: resolves the names to builds, and runs these in turns.

use anyhow::{Result, bail};
use serde::Serialize;

use crate::bench::args::BenchArgs;
use crate::bench::command::{params, subject};
use crate::bench::comparison::Standing;
use crate::bench::deploy::comparison_targets;
use crate::bench::machine::Machine;
use crate::bench::measure::Setup;
use crate::bench::measurement::{Model, Subject};
use crate::bench::model::choice::chosen_model;
use crate::bench::paired_run::{self, Rounds};
use crate::bench::view;
use crate::check::evaluation::{EvalOptions, evaluate};
use crate::findings::finding::Finding;
use crate::findings::outcome::Outcome;
use crate::findings::view::print;
use crate::fleet::context::Context;
use crate::fleet::manifest::Selection;
use crate::fleet::names::{HostName, VariantName};
use crate::nix::flake_input::{Revision, short};
use crate::nix::names::{StorePath, nix_list, nix_string};
use crate::upstream::revision::{Wanted, choose};
use crate::upstream::trial_fleet::{PinState, TrialFleet};

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ComparisonReport<'a> {
    schema: u32,
    command: &'static str,
    host: &'a str,
    target: &'a str,
    model: &'a Model,
    /// Name of the GPU, or of the CPU if there is no GPU.
    device: Option<&'a str>,
    threads: Option<u32>,
    /// Seed of the random order; `--seed` repeats it.
    seed: u64,
    subjects: Vec<Compared<'a>>,
    /// Ratios are to the first subject.
    standings: &'a [Standing],
    findings: &'a [&'a Finding],
    ok: bool,
}

/// A build that was compared.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Compared<'a> {
    /// Name on the command line.
    label: &'a str,
    variant: &'a VariantName,
    rev: Option<&'a str>,
    store_path: &'a StorePath,
}

pub fn run(args: &BenchArgs, context: &Context, machine: &Machine) -> Result<Outcome> {
    // Plan.
    let own = subject(context, &args.host, machine)?;
    // Dropping a trial fleet deletes its folder, which Nix still reads.
    let mut fleets: Vec<TrialFleet> = vec![];
    let mut subjects: Vec<Subject> = vec![];
    for name in args.subjects() {
        subjects.push(match name.strip_prefix("rev=") {
            Some(rev) => {
                let trial = trial_fleet(context, rev)?;
                let found = subject(&trial.context, &args.host, machine)?;
                fleets.push(trial);
                found
            }
            None => named(args, context, &own, name)?,
        });
    }
    let params = params(args, &own);
    let seed = args.seed.unwrap_or_else(paired_run::random_seed);
    // Run.
    let mut model = chosen_model(args, &own)?;
    let subjects: Vec<(&str, &Subject)> = args.subjects().into_iter().zip(&subjects).collect();
    let (targets, path, warnings) =
        comparison_targets(args, context, machine, &subjects, &mut model)?;
    context.ui.status(format!("{} rounds in random order (--seed {seed})", params.rounds));
    let rounds = Rounds::exactly(params.rounds, seed);
    let (ui, model) = (&context.ui, &model.about);
    let setup = Setup { ui, machine, model, model_path: &path, params: &params };
    let run = paired_run::run(setup, &targets, rounds)?;
    // Report.
    let standings = run.standings(&targets);
    let ok = run.finding.is_none() && !standings.is_empty();
    let findings: Vec<&Finding> = run.finding.iter().chain(&warnings).collect();
    let (device, threads) = (run.device.as_deref(), run.threads);
    let target = machine.target.name();
    let compared = subjects.iter().map(|(label, Subject { manifest, store_path, .. })| Compared {
        label,
        variant: &manifest.variant,
        rev: manifest.rev.as_deref(),
        store_path,
    });
    context.ui.document(&ComparisonReport {
        schema: 1,
        command: "bench",
        host: &args.host,
        target,
        model,
        device,
        threads,
        seed,
        subjects: compared.collect(),
        standings: &standings,
        findings: &findings,
        ok,
    })?;
    let about = view::model_and_device(model, device, threads);
    context.ui.result(format!("{} on {target}: {about}", args.host));
    for (label, subject) in &subjects {
        let rev = subject.manifest.rev.as_deref().map_or("unknown", short);
        context.ui.result(format!("  {label}: {}, llama.cpp {rev}", subject.manifest.variant));
    }
    if !standings.is_empty() {
        context.ui.result(view::standings(&context.ui, &standings));
    }
    run.finding.iter().for_each(|finding| print(&context.ui, &args.host, finding));
    Ok(Outcome::new(ok, findings.iter().copied()))
}

/// Returns the build with this name; `own` is the host's.
///
/// # Errors
/// There is none.
fn named(args: &BenchArgs, context: &Context, own: &Subject, name: &str) -> Result<Subject> {
    let host = || own.host.clone();
    let package = |choose: &str| Ok(Subject::new(host(), context.flake.package(choose)?));
    if name == args.host || name == own.manifest.variant.as_str() {
        return Ok(own.clone());
    }
    match name {
        "upstream" => return package("pkgs: pkgs.llama-cpp-upstream"),
        "nixpkgs" => return package("pkgs: pkgs.llama-cpp-nixpkgs"),
        "dispatch" => return package(&for_microarch(own, "dispatch")),
        _ if name.starts_with('/') => return Ok(Subject::on_target(name, own)),
        _ => {}
    }
    if let Some(microarch) = name.strip_prefix("microarch=") {
        return package(&for_microarch(own, microarch));
    }
    let hosts = context.all_hosts()?.to_vec();
    let outcomes = evaluate(context, &hosts, EvalOptions::default())?;
    let selections: Vec<(&HostName, &Selection)> = outcomes.selected().collect();
    let is_named = |(host, selection): &&(&HostName, &Selection)| {
        selection.manifest.variant.as_str() == name || host.as_str() == name
    };
    if let Some((_, selection)) = selections.iter().find(is_named) {
        return Ok(Subject::new(host(), (*selection).clone()));
    }
    let variants: Vec<&str> =
        selections.iter().map(|(_, selection)| selection.manifest.variant.as_str()).collect();
    bail!(
        "--compare {name}: use {}, upstream, nixpkgs, dispatch, microarch=NAME, rev=REVISION, the \
         absolute path of a llama-bench, or a variant of this fleet: {}",
        args.host,
        variants.join(", ")
    )
}

/// Returns the Nix expression of the host's variant for another CPU.
fn for_microarch(own: &Subject, microarch: &str) -> String {
    let manifest = &own.manifest;
    format!(
        "pkgs: pkgs.mkLlamaCpp {{ backends = {}; microarch = {}; cudaCapabilities = {}; \
         rocmTargets = {}; kvCacheTypes = {}; extraCmakeFlags = {}; }}",
        nix_list(&manifest.backends),
        nix_string(microarch),
        nix_list(&manifest.cuda_capabilities),
        nix_list(&manifest.rocm_targets),
        nix_list(&manifest.kv_cache_types),
        nix_list(&manifest.extra_cmake_flags)
    )
}

fn trial_fleet(context: &Context, rev: &str) -> Result<TrialFleet> {
    let pin = PinState::read(context, None)?;
    if rev.len() == 40 && rev.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return pin.trial_fleet(&Revision::of(rev.to_lowercase()), None);
    }
    let chosen = choose(&pin, Wanted::Named(rev))?;
    pin.trial_fleet(&chosen.revision, chosen.named.as_deref())
}
