//! `demo`: the whole way once, and what tuning is worth on this machine.

use std::io::IsTerminal;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::Serialize;

use crate::cli::{self, Era, Global};
use crate::cmd::bench::compare::{Contender, compare};
use crate::cmd::bench::hold::hold;
use crate::cmd::bench::measure::Machine;
use crate::cmd::context::Context;
use crate::cmd::evaluate::Ask;
use crate::cmd::{Outcome, bench, build_all, check, evaluate, setup};
use crate::domain::bench::{Model, Params};
use crate::domain::build::distinct;
use crate::domain::build_report::VariantReport;
use crate::domain::check::{CheckReport, Evaluated};
use crate::domain::compare::Standing;
use crate::domain::manifest::Selection;
use crate::domain::microarch::Table;
use crate::domain::names::HostName;
use crate::domain::quantize::Quantization;
use crate::domain::smoke_model::{Size, SmokeModel};
use crate::sys::nix::Nix;
use crate::sys::target::Target;
use crate::sys::{model, paths, testbed};
use crate::ui::{self, Ui};

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
    /// The first contender is upstream's own package; ratios are to it.
    standings: &'a [Standing],
    ok: bool,
}

pub fn run(args: &cli::Demo, global: &Global, ui: &Ui) -> Result<Outcome> {
    // Discover: what the demo can run on, and this machine.
    let (context, inputs) = open(args, global, ui)?;
    let _hold = match hold(&context, &mut Target::Local, "demo", true)? {
        Ok(hold) => hold,
        Err(finding) => bail!("{}", finding.message),
    };
    let machine = match Machine::discover(&Target::Local)? {
        Ok(machine) => machine,
        Err(finding) => bail!("{}", finding.message),
    };
    let table = Table::embedded().context("microarch.json")?;
    let microarch = machine.microarch(&table).context("no microarchitecture fits this CPU")?;
    ui.say(format!("{} this machine is {microarch}", ui.bold("demo:")));

    // Plan and run, one command after another, as a user would.
    ui.say(format!("\n{}", ui.bold("1. cargo xtask check")));
    let hosts = context.hosts(&[])?;
    let outcomes = evaluate::evaluate(&context, &hosts, Ask::default())?;
    let cpu_hosts: Vec<(HostName, Selection)> = outcomes
        .iter()
        .filter_map(|(host, (evaluated, _))| match evaluated {
            Evaluated::Selected(one) if one.manifest.backends == ["cpu"] => {
                Some((host.clone(), one.as_ref().clone()))
            }
            _ => None,
        })
        .collect();
    let present = check::present(&context, outcomes.values().map(|(evaluated, _)| evaluated))?;
    let checked = CheckReport::new(&hosts, outcomes, &present);
    ui::check::print(ui, &checked);

    ui.say(format!(
        "\n{}",
        ui.bold("2. cargo xtask build-all, the CPU variants, and this machine's")
    ));
    let local = (HostName::new(bench::LOCAL), bench::tuned(&context, &microarch)?);
    let upstream = (HostName::new("upstream"), upstream(&context, "")?);
    let no_blas = (HostName::new("upstream-no-blas"), upstream_without_blas(&context)?);
    let all = [&local, &upstream, &no_blas].into_iter().chain(&cpu_hosts);
    let builds = distinct(all.map(|(host, selection)| (host, selection)));
    let variants = build_all::build(&context, &builds, build_all::Limits::default())?;
    let built = variants.iter().all(|variant| variant.state.well());
    let report = crate::domain::build_report::BuildReport {
        schema: 1,
        command: "build-all",
        variants,
        hosts: vec![],
        own_cpu_seconds: crate::sys::usage::own_cpu().as_secs_f64(),
        findings: vec![],
        ok: built,
    };
    ui::build::print(ui, &report);
    if !built {
        bail!("without these builds there is nothing to measure; the logs above say why");
    }

    ui.say(format!("\n{}", ui.bold("3. cargo xtask bench local, beside upstream's own package")));
    let smoke = SmokeModel { size: Size::M29, quantization: Quantization::Q4_0 };
    let file = model::smoke_model(&context.home, smoke)?;
    let file = file.to_str().context("the model's path is not UTF-8")?;
    let described = bench::model::describe(smoke);
    let contenders = [
        contender("upstream's package", upstream),
        contender("upstream's, without BLAS", no_blas),
        contender(&format!("tuned for {microarch}"), local),
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
    let comparison = compare(ui, &machine, &contenders, (&described, file), &params, (ROUNDS, 1))?;

    // Report.
    let ok = checked.ok && comparison.findings.is_empty();
    context.ui.document(&DemoReport {
        schema: 1,
        command: "demo",
        inputs,
        microarch,
        check: &checked,
        variants: &report.variants,
        model: &described,
        standings: &comparison.standings,
        ok,
    })?;
    for finding in &comparison.findings {
        ui.complain(ui::check::describe(ui, bench::LOCAL, finding));
    }
    ui.say("");
    ui.result(ui::bench::standings(ui, &comparison.standings));
    ui.say(format!(
        "\npp: tokens of a prompt a second; tg: generated tokens a second; medians of {ROUNDS} \
         alternating rounds,\n{} with seeded random weights, {}.",
        described.name,
        described.quantization.as_deref().unwrap_or_default()
    ));
    Ok(Outcome::from_ok(ok))
}

/// The real inputs where they can be fetched and Nix is there; else the testbed.
fn open(args: &cli::Demo, global: &Global, ui: &Ui) -> Result<(Context, &'static str)> {
    if global.testbed.is_none() && testbed::inputs_reachable() && Nix::find(&paths::home()?).is_ok()
    {
        ui.say(format!("{} on the real inputs of flake.lock", ui.bold("demo:")));
        return Ok((Context::open(global, ui)?, "real"));
    }
    let era = global.testbed.unwrap_or(Era::New);
    setup::ensure(ui, args.yes || !std::io::stdin().is_terminal())?;
    ui.say(format!(
        "{} on the testbed: the real llama.cpp and its flake, this machine's compiler, stand-ins \
         for the other inputs",
        ui.bold("demo:")
    ));
    let inputs = if era == Era::New { "testbed-new" } else { "testbed-old" };
    Ok((Context::open_with(global, ui, Some(era))?, inputs))
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

fn contender(label: &str, (host, selection): (HostName, Selection)) -> Contender {
    let subject = bench::from_selection(host, selection);
    let llama_bench = bench::llama_bench(&subject);
    Contender { label: label.to_owned(), subject, llama_bench }
}
