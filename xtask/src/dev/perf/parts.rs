//! Budgets of packages built from parts, compared with whole packages: CPU time of the builds
//! without ccache, speed and start-up of llama-bench, closure size.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::bench::machine::Machine;
use crate::bench::model::choice::ChosenModel;
use crate::bench::output_check::command::compare;
use crate::bench::paired_run::ComparisonTarget;
use crate::dev::args::PerfArgs;
use crate::dev::perf::bench::{build, in_turns, lock, model_path, models};
use crate::dev::perf::bench_budgets::ratios;
use crate::dev::perf::budgets::{self, Ratio};
use crate::dev::perf::build::{output, round};
use crate::dev::perf::{pair, timed};
use crate::findings::finding::Severity;
use crate::fleet::context::Context;
use crate::fleet::names::HostName;
use crate::nix::flake::system;
use crate::nix::names::{DrvPath, StorePath, nix_list, nix_string};
use crate::nix::store;
use crate::system::process::Invocation;
use crate::system::{files, usage};
use crate::target::Target;

/// Maximum CPU time of packages from parts for four CPUs, relative to four whole packages.
const FOUR_CPUS: f64 = 0.40;
/// Maximum CPU time of each further CPU, relative to a whole package.
const FURTHER_CPU: f64 = 0.15;
/// Minimum speed of llama-bench from parts, relative to the whole package.
const SPEED: f64 = 0.99;
const START_UP: f64 = 1.05;
const CLOSURE: f64 = 1.05;
/// The smallest divergence that llama-perplexity prints, in nats.
const ROUNDING: f64 = 1e-6;
/// Timeout of the output check.
const OUTPUT_CHECK_TIMEOUT: Duration = Duration::from_secs(900);
/// Number of starts, because llama-bench starts in a few milliseconds.
const STARTS: usize = 200;

#[derive(Deserialize)]
struct Measured {
    ggml: Derivation,
    tools: Derivation,
    /// One for each CPU, like `wholes`.
    modules: Vec<Derivation>,
    wholes: Vec<Derivation>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Derivation {
    drv_path: DrvPath,
    output: StorePath,
}

/// Measures packages in use and their builds, for as many CPUs as there are runs.
pub fn budgets(args: &PerfArgs, context: &Context) -> Result<Vec<Ratio>> {
    // The shorter part is first.
    let mut ratios = in_use(args, context)?;
    ratios.extend(cpu_time(args, context)?);
    Ok(ratios)
}

fn cpu_time(args: &PerfArgs, context: &Context) -> Result<Vec<Ratio>> {
    let flake = &context.flake;
    let names: Vec<&str> = budgets::hosts(args.runs).into_iter().map(|(_, name)| name).collect();
    let (function, list) = (include_str!("measured.nix"), nix_list(&names));
    let apply = format!("({function}) {} {list}", nix_string(&round()));
    let call = flake.nix.command(["eval", "--json"]).args(&flake.options);
    let call = call.arg(format!("{}#legacyPackages.{}", flake.reference, system()));
    let call = call.args(["--apply", &apply]);
    let answer = timed(&call)?.1;
    let measured: Measured = serde_json::from_str(&answer.stdout_text())
        .with_context(|| format!("`{call}` printed no derivations: {}", answer.stdout_text()))?;
    let cost = |what: &str, derivation: &Derivation| {
        let seconds = cpu_seconds(context, derivation)?;
        context.ui.status(format!("{what}: {seconds:.1} CPU s"));
        Ok::<f64, anyhow::Error>(seconds)
    };
    // Whole package and module alternate.
    let mut samples = vec![];
    for ((name, module), whole) in names.iter().zip(&measured.modules).zip(&measured.wholes) {
        let whole = cost(&format!("{name} as a whole"), whole)?;
        samples.push((cost(&format!("ggml-cpu-{name}"), module)?, whole));
    }
    let shared = cost("ggml", &measured.ggml)? + cost("llama-cpp-tools", &measured.tools)?;
    let of_four =
        samples.iter().map(|(module, whole)| (shared + 4.0 * module, 4.0 * whole)).collect();
    let ui = &context.ui;
    Ok(vec![
        output(ui, "CPU time of 4 CPUs from parts / as a whole".to_owned(), FOUR_CPUS, of_four),
        output(ui, "CPU time of a further CPU / a whole package".to_owned(), FURTHER_CPU, samples),
    ])
}

/// Builds it, and returns the build's CPU time, including compilers.
fn cpu_seconds(context: &Context, derivation: &Derivation) -> Result<f64> {
    let flake = &context.flake;
    let call = flake.nix.command(["build", "--no-link", "--max-jobs", "1"]).args(&flake.options);
    timed(&call.arg(derivation.drv_path.all_outputs()))?;
    let file = Path::new(derivation.output.as_str()).join("nix-support/cpu-time");
    let text = files::read(&file)?;
    seconds(&text).with_context(|| format!("{} is not what `times` prints: {text}", file.display()))
}

/// Sums the shell's `times`: `0m1.5s 0m0.25s`, of the shell, then of its children.
fn seconds(times: &str) -> Option<f64> {
    let of = |word: &str| {
        let (minutes, seconds) = word.strip_suffix('s')?.split_once('m')?;
        Some(minutes.parse::<f64>().ok()? * 60.0 + seconds.parse::<f64>().ok()?)
    };
    times.split_whitespace().map(of).sum()
}

/// Compares the package from parts with the whole one on this machine: closure size, start-up,
/// output and speed.
fn in_use(args: &PerfArgs, context: &Context) -> Result<Vec<Ratio>> {
    let machine = Machine::discover(&Target::Local)?;
    let microarch = machine.microarch().context("no microarchitecture fits this CPU")?;
    let package = |label: &str, modular: bool| {
        let choose = format!(
            "pkgs: pkgs.mkLlamaCpp {{ microarch = {}; modular = {modular}; }}",
            nix_string(&microarch)
        );
        Ok::<_, anyhow::Error>((HostName::new(label), context.flake.package(&choose)?))
    };
    let targets = build(context, &[package("parts", true)?, package("whole", false)?])?;
    let _lock = lock(context)?;
    let mut all = vec![closure(context, &targets)?, start_up(context, &targets)?];
    for (name, chosen) in models(&args.model) {
        same_output(context, &machine, &targets, &chosen)?;
        let samples = in_turns(args, context, &machine, (&name, &chosen), &targets)?;
        all.extend(ratios(&format!("{name}, parts / whole"), SPEED, &samples[0], &samples[1]));
    }
    Ok(all)
}

/// Checks that both packages compute the same output.
///
/// # Errors
/// The outputs differ, or cannot be compared.
fn same_output(
    context: &Context,
    machine: &Machine,
    targets: &[ComparisonTarget],
    model: &ChosenModel,
) -> Result<()> {
    let file = &model_path(context, model)?;
    let [parts, whole] = [&targets[0].subject, &targets[1].subject];
    let check = compare(&context.ui, machine, parts, whole, file, OUTPUT_CHECK_TIMEOUT)?;
    let errors = check.findings.iter().find(|finding| finding.severity == Severity::Error);
    if let Some(error) = errors {
        bail!("{}", error.message);
    }
    // Only the prompt is compared: the reference reads the text at once, but generation uses other
    // kernels.
    let prompt = check.divergences.iter().find(|one| one.way == "prompt");
    let is_equal = prompt.is_some_and(|one| one.mean_divergence.abs() < ROUNDING)
        && check.completion.as_ref().is_some_and(|text| text.is_equal);
    if !is_equal {
        bail!(
            "the package from parts has another output than the whole one: {prompt:?}, {:?}",
            check.completion
        );
    }
    Ok(())
}

fn closure(context: &Context, targets: &[ComparisonTarget]) -> Result<Ratio> {
    let outputs = targets.iter().map(|target| target.subject.store_path.clone()).collect();
    let sizes = store::valid(&context.flake.nix, &outputs)?;
    let size = |target: &ComparisonTarget| {
        let info = sizes.get(&target.subject.store_path);
        info.and_then(|info| info.closure_size).map_or(f64::NAN, |size| size as f64)
    };
    let pair = (size(&targets[0]), size(&targets[1]));
    Ok(Ratio::new("closure, parts / whole".to_owned(), CLOSURE, vec![pair]))
}

/// Compares the CPU time of starting llama-bench. The elapsed time of a process of a few
/// milliseconds is mostly waiting on a busy machine.
fn start_up(context: &Context, targets: &[ComparisonTarget]) -> Result<Ratio> {
    let start = |target: &ComparisonTarget| {
        let before = usage::children_cpu();
        timed(&Invocation::new(target.subject.llama_bench()).arg("--help"))?;
        Ok((usage::children_cpu() - before).as_secs_f64())
    };
    let samples: Result<Vec<(f64, f64)>> =
        (0..STARTS).map(|nth| pair(nth, || start(&targets[0]), || start(&targets[1]))).collect();
    let name = "CPU time of llama-bench --help, parts / whole".to_owned();
    Ok(output(&context.ui, name, START_UP, samples?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_times_of_a_shell_and_its_children_are_added() {
        assert_eq!(seconds("0m0.500s 0m0.250s\n4m10.000s 1m1.250s\n"), Some(312.0));
        assert_eq!(seconds("real 1.5"), None);
    }
}
