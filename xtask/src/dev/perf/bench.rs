//! Budgets of llama.cpp's speed and of bench, on the testbed's trees: the tuned variant compared
//! with a build by hand with GGML_NATIVE=ON, "dispatch" with the tuned variant, upstream's package
//! without a budget; and the time that bench adds to llama-bench.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::bench::command::tuned;
use crate::bench::comparison::Samples;
use crate::bench::machine::Machine;
use crate::bench::measure::Setup;
use crate::bench::measurement::{Params, Subject};
use crate::bench::model::choice::{ChosenModel, LocalModel, local_file};
use crate::bench::model::quantize::Quantization;
use crate::bench::paired_run::{self, ComparisonTarget, Rounds};
use crate::bench::{recorder, view};
use crate::build::run as build_all;
use crate::build::variants::distinct;
use crate::dev::args::PerfArgs;
use crate::dev::perf::bench_budgets::{MINIMUM, flags_without_cpu, ratios};
use crate::dev::perf::budgets::Ratio;
use crate::dev::perf::{hand_build, timed, xtask};
use crate::fleet::args::Global;
use crate::fleet::context::Context;
use crate::fleet::manifest::Selection;
use crate::fleet::names::HostName;
use crate::system::machine_lock::{self, Lock};
use crate::system::process::Invocation;
use crate::system::{disk, interrupt};
use crate::target::Target;
use crate::target::selection::LOCAL;
use crate::testbed::revision::TestbedRevision;
use crate::ui::Ui;

/// Seconds that bench may add to llama-bench.
const OVERHEAD: f64 = 2.0;
/// llama-bench processes in that measurement.
const ROUNDS: u32 = 5;

pub fn budgets(args: &PerfArgs, global: &Global, ui: &Ui) -> Result<Vec<Ratio>> {
    let revision = global.testbed.unwrap_or(TestbedRevision::New);
    let context = Context::open_with(global, ui, Some(revision))?;
    let machine = Machine::discover(&Target::Local)?;
    let models = models(&args.model);
    // Without a model, fail before the builds, which take minutes.
    for (_, chosen) in &models {
        model_path(&context, chosen)?;
    }
    let targets = targets(&context, revision, &machine, !args.no_dispatch)?;
    let lock = lock(&context)?;
    let mut all = vec![];
    for (name, chosen) in models {
        let samples = in_turns(args, &context, &machine, (&name, &chosen), &targets)?;
        // In the order of `targets`.
        let [hand, tuned, upstream, dispatch @ ..] = &samples[..] else {
            bail!("a comparison target is missing");
        };
        all.extend(ratios(&format!("{name}, tuned / by hand"), MINIMUM, tuned, hand));
        for dispatch in dispatch {
            all.extend(ratios(&format!("{name}, dispatch / tuned"), MINIMUM, dispatch, tuned));
        }
        all.extend(ratios(&format!("{name}, tuned / upstream's package"), 0.0, tuned, upstream));
    }
    drop(lock);
    all.push(overhead(args, &context, revision, &targets[1])?);
    Ok(all)
}

/// Locks this machine against other measurements.
pub fn lock(context: &Context) -> Result<Lock> {
    let place = machine_lock::bench_lock(&context.home, Target::Local.name());
    machine_lock::lock(&place, "`perf`", &|holder| {
        context.ui.status(format!("waiting for {holder}"));
    })
}

/// Measures the builds in turns with a model. Returns the results in the builds' order.
pub fn in_turns(
    args: &PerfArgs,
    context: &Context,
    machine: &Machine,
    (name, chosen): (&str, &ChosenModel),
    targets: &[ComparisonTarget],
) -> Result<Vec<Samples>> {
    let ui = &context.ui;
    let model_path = &model_path(context, chosen)?;
    ui.status(format!("measuring {name}, {} rounds of {} builds", args.runs, targets.len()));
    let quiet = &Ui { quiet: true, ..*ui };
    let rounds = u32::try_from(args.runs).context("--runs")?;
    let (model, params) = (&chosen.about, &params(2));
    let setup = Setup { ui: quiet, machine, model, model_path, params };
    let run = paired_run::run(setup, targets, Rounds::exactly(rounds, 1))?;
    interrupt::check()?;
    if let Some(finding) = &run.finding {
        bail!("{}", finding.message);
    }
    ui.status(view::standings(ui, &run.standings(targets)));
    Ok(run.samples)
}

/// Returns the model's path for llama-bench; generates the model if it is missing.
pub fn model_path(context: &Context, chosen: &ChosenModel) -> Result<String> {
    let file = local_file(&chosen.place, &context.home)?;
    file.into_os_string().into_string().ok().context("the model's path is not UTF-8")
}

/// Returns the models with their names for the table. The 29M model has every quantization.
pub fn models(chosen: &[LocalModel]) -> Vec<(String, ChosenModel)> {
    let all = [Quantization::Q4_0, Quantization::Q8_0, Quantization::F16];
    let quantizations = |model: &LocalModel| match model {
        LocalModel::M29 => &all[..],
        LocalModel::B1 | LocalModel::SmolLm2 => &all[..1],
    };
    let with_name = |chosen: ChosenModel| {
        let quantization = chosen.about.quantization.as_deref().unwrap_or_default();
        (format!("{} {quantization}", chosen.about.name), chosen)
    };
    let each = |model: &LocalModel| {
        let model = *model;
        quantizations(&model).iter().map(move |it| with_name(model.choose(*it))).collect::<Vec<_>>()
    };
    chosen.iter().flat_map(each).collect()
}

/// Builds one source by hand, tuned, as upstream's package and, if requested, as dispatch, and
/// returns the builds in this order.
fn targets(
    context: &Context,
    revision: TestbedRevision,
    machine: &Machine,
    with_dispatch: bool,
) -> Result<Vec<ComparisonTarget>> {
    let ui = &context.ui;
    let microarch = machine.microarch().context("no microarchitecture fits this CPU")?;
    let mut selections: Vec<(HostName, Selection)> = vec![
        (HostName::new("tuned"), tuned(context, &microarch)?),
        (HostName::new("upstream"), context.flake.package("pkgs: pkgs.llama-cpp-upstream")?),
    ];
    if with_dispatch {
        selections.push((HostName::new("dispatch"), tuned(context, "dispatch")?));
    }
    let built = build(context, &selections)?;
    let tree = revision.tree();
    let flags = flags_without_cpu(&selections[0].1.manifest.cmake_flags);
    ui.status(format!("building llama.cpp {} by hand, GGML_NATIVE=ON", tree.name));
    let program = hand_build::make(&context.home, tree, &flags, &mut |line| ui.debug(line))?;
    let by_hand = program.to_str().context("the hand build's path is not UTF-8")?;
    let subject = Subject::on_target(by_hand, &built[0].subject);
    let hand = ComparisonTarget { label: "by hand".to_owned(), subject };
    Ok([hand].into_iter().chain(built).collect())
}

/// Builds these packages.
pub fn build(
    context: &Context,
    selections: &[(HostName, Selection)],
) -> Result<Vec<ComparisonTarget>> {
    let builds = distinct(selections.iter().map(|(host, selection)| (host, selection)));
    let variants = build_all::build(context, &builds)?;
    if let Some(broken) = variants.iter().find(|variant| !variant.state.ok()) {
        bail!(
            "{} failed to build: {}",
            broken.build.variant,
            broken.log.as_deref().unwrap_or_default()
        );
    }
    let target = |(label, selection): &(HostName, Selection)| {
        let subject = Subject::new(HostName::new(LOCAL), selection.clone());
        ComparisonTarget { label: label.to_string(), subject }
    };
    Ok(selections.iter().map(target).collect())
}

fn params(repetitions: u32) -> Params {
    Params {
        prompt: 128,
        generate: 32,
        repetitions,
        rounds: 1,
        time_budget: recorder::TIME_BUDGET,
        timeout: Duration::from_secs(600),
        args: vec![],
    }
}

/// Compares bench with the same number of llama-bench processes. The tests are short, because the
/// time between them is measured.
fn overhead(
    args: &PerfArgs,
    context: &Context,
    revision: TestbedRevision,
    tuned: &ComparisonTarget,
) -> Result<Ratio> {
    let file = &model_path(context, &LocalModel::M29.choose(Quantization::Q4_0))?;
    let short = Params { prompt: 16, generate: 4, ..params(1) };
    let argv = short.argv(&tuned.subject.llama_bench(), file, &tuned.subject.manifest.backends);
    let llama_bench = Invocation::new(&argv[0]).args(&argv[1..]);
    let records = context.home.join("perf/bench");
    let folder = context.root().context("the flake is not a local folder")?.to_owned();
    let words = ["--quiet", "--json", "--wait", "--prompt=16", "--generate=4", "--repetitions=1"];
    let call = xtask("bench", &folder, Some(revision))?.arg(LOCAL).args(words);
    let call = call.arg(format!("--rounds={ROUNDS}")).arg("--record").arg(&records);
    context.ui.status(format!("measuring bench itself, {} runs of {ROUNDS} rounds", args.runs));
    let mut samples = vec![];
    for _ in 0..args.runs {
        // With a baseline, the verdict would need more runs.
        disk::remove(&records)?;
        let whole = timed(&call)?.0;
        let mut itself = 0.0;
        for _ in 0..ROUNDS {
            itself += timed(&llama_bench)?.0;
        }
        samples.push((whole, itself));
    }
    let ratio = Ratio::new(
        format!("bench local, {ROUNDS} short rounds / llama-bench itself and {OVERHEAD} s"),
        1.0,
        samples.into_iter().map(|(whole, itself)| (whole, itself + OVERHEAD)).collect(),
    );
    Ok(ratio)
}
