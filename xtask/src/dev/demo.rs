//! `demo`: runs setup, check, build and bench once, to measure the gain of tuning on this machine.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::Serialize;

use crate::bench::command::tuned;
use crate::bench::comparison::Standing;
use crate::bench::machine::Machine;
use crate::bench::measure::{Results, Setup, measure};
use crate::bench::measurement::{Model, Params, Subject};
use crate::bench::model::choice::LocalModel;
use crate::bench::model::quantize::Quantization;
use crate::bench::paired_run::{self, ComparisonTarget, Rounds};
use crate::bench::{session, view};
use crate::build;
use crate::build::args::Limits;
use crate::build::plan::{Todo, plan};
use crate::build::report::VariantReport;
use crate::build::run as build_all;
use crate::build::variants::distinct;
use crate::check::evaluation::EvalOptions;
use crate::check::report::CheckReport;
use crate::check::{command as check, evaluation as evaluate, view as check_view};
use crate::dev::args::DemoArgs;
use crate::dev::perf::bench::model_path;
use crate::dev::pieces::Piece;
use crate::dev::setup;
use crate::findings;
use crate::findings::outcome::Outcome;
use crate::fleet::args::Global;
use crate::fleet::context::Context;
use crate::fleet::manifest::Selection;
use crate::fleet::names::HostName;
use crate::hardware::microarch::Table;
use crate::nix::program::Nix;
use crate::statistics::MIN_PROCESSES;
use crate::system::{paths, resources};
use crate::target::Target;
use crate::target::selection::LOCAL;
use crate::testbed::inputs as testbed;
use crate::testbed::revision::TestbedRevision;
use crate::ui::{Ui, units};

/// Number of rounds: the fewest that give an interval, so that a first run is short.
const ROUNDS: u32 = MIN_PROCESSES as u32;

/// Estimates for steps that have not run before. The builds took 320 and 650 CPU seconds on two
/// machines with two cores.
const CHECK_SECONDS: f64 = 30.0;
const BUILD_CPU_SECONDS: f64 = 480.0;
const FIRST_SECONDS: f64 = 5.0;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct DemoReport<'a> {
    schema: u32,
    command: &'static str,
    /// `real`, or `testbed-2026-09` for the testbed's revision.
    inputs: String,
    microarch: String,
    check: &'a CheckReport,
    variants: &'a [VariantReport],
    model: &'a Model,
    /// The first comparison target is upstream's own package; ratios are to it.
    standings: &'a [Standing],
    ok: bool,
}

pub fn run(args: &DemoArgs, global: &Global, ui: &Ui) -> Result<Outcome> {
    ui.status(format!(
        "{} llama.cpp tuned for this CPU, beside upstream's package",
        ui.bold("demo:")
    ));
    // Discover the inputs and this machine.
    let (context, inputs) = open(args, global, ui)?;
    // Without a model, fail before the builds, which take minutes.
    let chosen = args.model.choose(Quantization::Q4_0);
    let model_path = &model_path(&context, &chosen)?;
    let _session = session::open(&context, &mut Target::Local, "demo", true)?;
    let machine = Machine::discover(&Target::Local)?;
    let detected = Table::embedded().detect(&machine.facts.cpu);
    let detected = detected.context("no microarchitecture fits this CPU")?;
    let cores = resources::cores();
    ui.status(format!("  {} ({detected}), {cores} cores", machine.facts.cpu_name()));
    let microarch = detected.name.to_owned();
    let step = |number: u32, what: &str, seconds: f64| {
        let time = units::about(seconds);
        ui.status(format!("\n{} {time}", ui.bold(&format!("{number}. {what}:"))));
    };

    // Plan and run, one command after another, as a user would.
    step(1, "check the fleet's hosts", CHECK_SECONDS / cores as f64);
    let hosts = context.hosts(&[])?;
    let outcomes = evaluate::evaluate(&context, &hosts, EvalOptions::default())?;
    let present = check::present(&context, outcomes.selected().map(|(_, selection)| selection))?;
    let checked = CheckReport::new(&hosts, outcomes, &present);
    check_view::print(ui, &checked);

    let local = (HostName::new(LOCAL), tuned(&context, &microarch)?);
    let label = format!("tuned for {microarch}");
    let mut variants = vec![];
    let mut built = |number, what: &str, (host, selection): &(HostName, Selection)| {
        let planned = plan(&context, &distinct([(host, selection)]))?;
        let row = &planned.plan.variants[0];
        if row.plan == Todo::Present {
            ui.status(format!("\n{} already built", ui.bold(&format!("{number}. build {what}:"))));
        } else {
            let seconds = row.expected_seconds.unwrap_or(BUILD_CPU_SECONDS / cores as f64);
            step(number, &format!("build {what}"), seconds);
        }
        let reports = build_all::build_planned(&context, planned, &Limits::default())?;
        let ok = reports.iter().all(|variant| variant.state.ok());
        if !ok {
            reports.iter().for_each(|variant| build::view::tables::print_failure(ui, variant));
        }
        variants.extend(reports);
        if ok { Ok(()) } else { bail!("there is nothing to measure without {what}") }
    };
    built(2, "llama.cpp for this CPU", &local)?;

    let params = Params {
        prompt: 128,
        generate: 32,
        repetitions: 1,
        rounds: 1,
        time_budget: Duration::MAX,
        timeout: Duration::from_secs(300),
        args: vec![],
    };
    let (machine, model, params) = (&machine, &chosen.about, &params);
    let setup = Setup { ui, machine, model, model_path, params };
    step(3, "first figures", FIRST_SECONDS);
    let local = target(&label, local);
    measure(setup, &local.subject, &mut Results::default())?;

    let upstream = (HostName::new("upstream"), upstream(&context)?);
    built(4, "upstream's package", &upstream)?;
    step(5, "measure both in turns", FIRST_SECONDS * f64::from(ROUNDS));
    let targets = [target("upstream", upstream), local];
    let run = paired_run::run(setup, &targets, Rounds::exactly(ROUNDS, 1))?;
    let standings = run.standings(&targets);

    // Report.
    let ok = checked.ok && run.finding.is_none();
    context.ui.document(&DemoReport {
        schema: 1,
        command: "demo",
        inputs,
        microarch,
        check: &checked,
        variants: &variants,
        model,
        standings: &standings,
        ok,
    })?;
    if let Some(finding) = &run.finding {
        findings::view::print(ui, LOCAL, finding);
    }
    ui.status("");
    ui.result(view::standings(ui, &standings));
    ui.status(format!(
        "\n{}\n\n{NEXT}",
        match args.model {
            LocalModel::M29 => CACHED,
            LocalModel::B1 =>
                "The model is generated; like a large real one, it exceeds any CPU cache.",
            LocalModel::SmolLm2 => "The model is SmolLM2 135M, a real one.",
        }
    ));
    Ok(Outcome::from_ok(ok))
}

const CACHED: &str = "The model is generated and fits in the CPU's cache. A real model gains less: try `cargo \
    xtask demo --model smollm2`.";

const NEXT: &str = "\
Next, for your own machines:
  cargo xtask probe --local        print the options that fit this machine
  cargo xtask bench local --verify measure this machine in full
  docs/guide.md                    use llamafleet in your flake";

/// Opens the fleet with its real inputs if they can be fetched and Nix is installed, else in the
/// testbed.
fn open(args: &DemoArgs, global: &Global, ui: &Ui) -> Result<(Context, String)> {
    if global.testbed.is_none() && testbed::inputs_reachable() && Nix::find(&paths::home()?).is_ok()
    {
        ui.status("  on the real inputs of flake.lock");
        return Ok((Context::open(global, ui)?, "real".to_owned()));
    }
    let revision = global.testbed.unwrap_or(TestbedRevision::New);
    let model = (args.model == LocalModel::SmolLm2).then_some(Piece::Model);
    setup::ensure(ui, model.as_slice(), args.yes)?;
    ui.status(
        "  on the testbed: the real llama.cpp and its flake, this machine's compiler, stand-ins for \
         the other inputs",
    );
    let inputs = format!("testbed-{}", revision.name());
    Ok((Context::open_with(global, ui, Some(revision))?, inputs))
}

/// Returns the package of `nix build github:ggml-org/llama.cpp`.
fn upstream(context: &Context) -> Result<Selection> {
    context.flake.package("pkgs: pkgs.llama-cpp-upstream")
}

fn target(label: &str, (host, selection): (HostName, Selection)) -> ComparisonTarget {
    ComparisonTarget { label: label.to_owned(), subject: Subject::new(host, selection) }
}
