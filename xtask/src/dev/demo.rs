//! `demo`: the whole way once, and what tuning is worth on this machine.

use std::io::IsTerminal;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::Serialize;

use crate::bench::command::tuned;
use crate::bench::comparison::Standing;
use crate::bench::machine::Machine;
use crate::bench::measure::Setup;
use crate::bench::measurement::{Model, Params, Subject};
use crate::bench::model::choice::{LocalModel, local_file};
use crate::bench::model::quantize::Quantization;
use crate::bench::paired_run::{self, ComparisonTarget, Rounds};
use crate::bench::session;
use crate::build;
use crate::build::report::{BuildReport, VariantReport};
use crate::build::run as build_all;
use crate::build::variants::distinct;
use crate::check::evaluation::EvalOptions;
use crate::check::report::CheckReport;
use crate::check::{command as check, evaluation as evaluate};
use crate::dev::args::DemoArgs;
use crate::dev::pieces::OnRequest;
use crate::dev::setup;
use crate::findings::outcome::Outcome;
use crate::fleet::args::Global;
use crate::fleet::context::Context;
use crate::fleet::manifest::Selection;
use crate::fleet::names::HostName;
use crate::hardware::microarch::Table;
use crate::nix::program::Nix;
use crate::system::paths;
use crate::target::Target;
use crate::testbed::inputs as testbed;
use crate::testbed::revision::TestbedRevision;
use crate::ui::Ui;

/// Enough that a median means something, few enough for a first visit.
const ROUNDS: u32 = 5;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct DemoReport<'a> {
    schema: u32,
    command: &'static str,
    /// `real`, `testbed-new` or `testbed-old`.
    inputs: &'static str,
    microarch: String,
    check: &'a CheckReport,
    variants: &'a [VariantReport],
    model: &'a Model,
    /// The first comparison target is upstream's own package; ratios are to it.
    standings: &'a [Standing],
    ok: bool,
}

pub fn run(args: &DemoArgs, global: &Global, ui: &Ui) -> Result<Outcome> {
    // Discover: what the demo can run on, and this machine.
    let (context, inputs) = open(args, global, ui)?;
    // Before minutes of builds.
    local_file(&args.model.choose(Quantization::Q4_0).place, &context.home)?;
    let _session = session::open(&context, &mut Target::Local, "demo", true)?;
    let machine = Machine::discover(&Target::Local)?;
    let table = Table::embedded().context("microarch.json")?;
    let detected = table.detect(&machine.cpu).context("no microarchitecture fits this CPU")?;
    ui.status(format!("{} {} ({detected})", ui.bold("demo:"), machine.facts.cpu_name()));
    let microarch = detected.name.to_owned();

    // Plan and run, one command after another, as a user would.
    ui.status(format!("\n{}", ui.bold("1. cargo xtask check")));
    let hosts = context.hosts(&[])?;
    let outcomes = evaluate::evaluate(&context, &hosts, EvalOptions::default())?;
    let cpu_hosts: Vec<(HostName, Selection)> = outcomes
        .selected()
        .filter(|(_, selection)| selection.manifest.backends == ["cpu"])
        .map(|(host, selection)| (host.clone(), selection.clone()))
        .collect();
    let present = check::present(&context, outcomes.selected().map(|(_, selection)| selection))?;
    let checked = CheckReport::new(&hosts, outcomes, &present);
    crate::check::view::print(ui, &checked);

    ui.status(format!(
        "\n{}",
        ui.bold("2. cargo xtask build-all, the CPU variants, and this machine's")
    ));
    let local = (HostName::new(crate::target::selection::LOCAL), tuned(&context, &microarch)?);
    let upstream = (HostName::new("upstream"), upstream(&context, "")?);
    let no_blas = (HostName::new("upstream-no-blas"), upstream_without_blas(&context)?);
    let all = [&local, &upstream, &no_blas].into_iter().chain(&cpu_hosts);
    let builds = distinct(all.map(|(host, selection)| (host, selection)));
    let variants = build_all::build(&context, &builds)?;
    let built = variants.iter().all(|variant| variant.state.ok());
    let report = BuildReport {
        schema: 1,
        command: "build-all",
        variants,
        hosts: vec![],
        own_cpu_seconds: crate::system::usage::own_cpu().as_secs_f64(),
        findings: vec![],
        ok: built,
    };
    build::view::tables::report(ui, &report);
    if !built {
        bail!("nothing to measure without these builds; see the logs above");
    }

    ui.status(format!(
        "\n{}",
        ui.bold("3. cargo xtask bench local, beside upstream's own package")
    ));
    let chosen = args.model.choose(Quantization::Q4_0);
    let file = local_file(&chosen.place, &context.home)?;
    let file = file.to_str().context("the model's path is not UTF-8")?;
    let described = chosen.about;
    let targets = [
        target("upstream's package", upstream),
        target("upstream's, without BLAS", no_blas),
        target(&format!("tuned for {microarch}"), local),
    ];
    let params = Params {
        prompt: 128,
        generate: 32,
        repetitions: 1,
        rounds: 1,
        patience: Duration::MAX,
        timeout: Duration::from_secs(300),
        args: vec![],
    };
    let rounds = Rounds::exactly(ROUNDS, 1);
    let (machine, model, params) = (&machine, &described, &params);
    let setup = Setup { ui, machine, model, model_path: file, params };
    let run = paired_run::run(setup, &targets, rounds)?;
    let standings = run.standings(&targets);

    // Report.
    let ok = checked.ok && run.finding.is_none();
    context.ui.document(&DemoReport {
        schema: 1,
        command: "demo",
        inputs,
        microarch,
        check: &checked,
        variants: &report.variants,
        model: &described,
        standings: &standings,
        ok,
    })?;
    if let Some(finding) = &run.finding {
        crate::findings::view::print(ui, crate::target::selection::LOCAL, finding);
    }
    ui.status("");
    ui.result(crate::bench::view::standings(ui, &standings));
    ui.status(format!(
        "\npp: tokens of a prompt a second; tg: generated tokens a second; medians of {ROUNDS} \
         alternating rounds,\n{}{}, {}.",
        described.name,
        if args.model == LocalModel::SmolLm2 { "" } else { " with seeded random weights" },
        described.quantization.as_deref().unwrap_or_default()
    ));
    Ok(Outcome::from_ok(ok))
}

/// The real inputs where they can be fetched and Nix is there; else the testbed.
fn open(args: &DemoArgs, global: &Global, ui: &Ui) -> Result<(Context, &'static str)> {
    if global.testbed.is_none() && testbed::inputs_reachable() && Nix::find(&paths::home()?).is_ok()
    {
        ui.status(format!("{} on the real inputs of flake.lock", ui.bold("demo:")));
        return Ok((Context::open(global, ui)?, "real"));
    }
    let revision = global.testbed.unwrap_or(TestbedRevision::New);
    let requested = OnRequest { model: args.model == LocalModel::SmolLm2 };
    setup::ensure(ui, requested, args.yes || !std::io::stdin().is_terminal())?;
    ui.status(format!(
        "{} on the testbed: the real llama.cpp and its flake, this machine's compiler, stand-ins \
         for the other inputs",
        ui.bold("demo:")
    ));
    let inputs = if revision == TestbedRevision::New { "testbed-new" } else { "testbed-old" };
    Ok((Context::open_with(global, ui, Some(revision))?, inputs))
}

/// What `nix build github:ggml-org/llama.cpp` gives, after `adjust`.
fn upstream(context: &Context, adjust: &str) -> Result<Selection> {
    context.flake.package(&format!("pkgs: pkgs.llama-cpp-upstream{adjust}"))
}

/// Upstream's CPU package links BLAS, which has a faster way with long prompts. Without
/// it the plain kernels are seen: what generation, and any GPU build's CPU part, runs on.
fn upstream_without_blas(context: &Context) -> Result<Selection> {
    upstream(context, ".override { useBlas = false; }")
}

fn target(label: &str, (host, selection): (HostName, Selection)) -> ComparisonTarget {
    let subject = Subject::new(host, selection);
    let llama_bench = subject.llama_bench();
    ComparisonTarget { label: label.to_owned(), subject, llama_bench }
}
