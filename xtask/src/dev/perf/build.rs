//! Budgets of build-all: its time compared with one `nix build` of as many new derivations, and its
//! CPU time; with `--testbed`, those of llama.cpp's builds.
//!
//! Both sides of a pair build new derivations of equal length, in alternating order. Nothing is
//! subtracted from the times.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::dev::args::PerfArgs;
use crate::dev::perf::budgets::{self, Length, Ratio, Step};
use crate::dev::perf::{build_fleet, derivations_of, fleet_copy, open, pair, parts, timed, xtask};
use crate::fleet::args::Global;
use crate::fleet::context::Context;
use crate::system::process::Invocation;
use crate::system::resources;
use crate::system::{files, paths};
use crate::testbed::revision::TestbedRevision;
use crate::ui::Ui;

/// Maximum ratio of build-all's time to that of `nix build`.
const OVER_NIX: f64 = 1.02;
/// Maximum share of a core while a build's log streams.
const OWN_CPU: f64 = 0.02;
/// Number of builds: enough to keep the cores of a small machine busy while other builds wait.
const BUILDS: usize = 4;
/// About 25 ms of /bin/sh on a core of 2025.
const COMPUTE: Step = Step::Compute(36_000);
const WAIT: Step = Step::Wait { milliseconds: 25 };

pub fn budgets(args: &PerfArgs, global: &Global, ui: &Ui) -> Result<Vec<Ratio>> {
    match global.testbed {
        None => generated(args, global, ui),
        Some(_) => {
            let mut ratios = parts::budgets(args, &Context::open(global, ui)?)?;
            ratios.extend(llama_cpp(args, global, ui)?);
            Ok(ratios)
        }
    }
}

fn generated(args: &PerfArgs, global: &Global, ui: &Ui) -> Result<Vec<Ratio>> {
    let home = paths::home()?;
    let mut ratios = vec![];
    let length = budgets::stream(args.lines);
    let folder = build_fleet::make(&home, 1)?;
    let renew = || build_fleet::renew(&folder, 1, length, &round());
    let bench = Bench::open(global, ui, &folder, hosts(1), 1, &renew)?;
    let lines = length.steps * length.lines;
    // One run, because so many lines are a large sample.
    for (output_mode, on_terminal) in [("bars on a terminal", true), ("plain lines", false)] {
        ui.status(format!("measuring one build that prints {lines} lines, {output_mode}"));
        renew()?;
        let built = bench.build_all(on_terminal)?;
        ratios.push(output(
            ui,
            format!("{lines} lines, {output_mode}, CPU time of xtask / time of the build"),
            OWN_CPU,
            vec![(built.cpu, built.seconds)],
        ));
    }
    for (kind, step) in [("wait", WAIT), ("compute", COMPUTE)] {
        let length = Length { steps: args.steps, lines: 5, step };
        let folder = build_fleet::make(&home, BUILDS)?;
        let renew = || build_fleet::renew(&folder, BUILDS, length, &round());
        let jobs = resources::cores();
        let bench = Bench::open(global, ui, &folder, hosts(BUILDS), jobs, &renew)?;
        ui.status(format!("measuring {BUILDS} builds that {kind}, {} runs each", args.runs));
        let what = format!("{BUILDS} builds that {kind}");
        ratios.extend(bench.over_nix(&what, args.runs)?);
    }
    Ok(ratios)
}

/// Measures builds of llama.cpp for the first two microarchitectures of a generated fleet, one with
/// AVX-512.
fn llama_cpp(args: &PerfArgs, global: &Global, ui: &Ui) -> Result<Vec<Ratio>> {
    let folder = fleet_copy::make(&paths::repository_root()?, &paths::home()?, 2)?;
    let generated = budgets::hosts(2);
    let names: Vec<String> = generated.iter().map(|(host, _)| host.clone()).collect();
    let write = |flags: &[String]| {
        generated.iter().try_for_each(|(host, microarch)| {
            let file = folder.join(format!("hosts/{host}/default.nix"));
            files::write_atomically(&file, budgets::module_with(microarch, flags).as_bytes())
        })
    };
    // A new derivation whose objects ccache has: all other steps of a build run, and the log comes
    // many times faster than from a compiler.
    let relink = || write(&[format!("-DLLAMAFLEET_ROUND={}", round())]);
    let bench = Bench::open(global, ui, &folder, names, 1, &relink)?;
    ui.status("measuring two variants of llama.cpp from ccache");
    bench.build_all(false)?;
    let mut ratios = bench.over_nix("2 variants of llama.cpp from ccache", args.runs)?;
    relink()?;
    let built = bench.build_all(true)?;
    ratios.push(output(
        ui,
        "2 variants from ccache, bars on a terminal, CPU time of xtask / time".to_owned(),
        OWN_CPU,
        vec![(built.cpu, built.seconds)],
    ));
    Ok(ratios)
}

/// Creates a ratio and prints it at once, because later measurements take long and may fail.
pub fn output(ui: &Ui, name: String, budget: f64, samples: Vec<(f64, f64)>) -> Ratio {
    let ratio = Ratio::new(name, budget, samples);
    let (subject, reference) = ratio.medians();
    ui.status(format!("{}: {:.4} = {subject:.3} s / {reference:.3} s", ratio.name, ratio.value));
    ratio
}

/// Returns an identifier that is unique, also among machines that share the store.
pub fn round() -> String {
    static NTH: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let nth = NTH.fetch_add(1, Ordering::Relaxed);
    format!("{}-{}-{nth}", now.as_nanos(), std::process::id())
}

fn hosts(count: usize) -> Vec<String> {
    (0..count).map(|nth| format!("h{nth}")).collect()
}

struct Bench<'a> {
    context: Context,
    revision: Option<TestbedRevision>,
    folder: &'a Path,
    hosts: Vec<String>,
    /// Number of parallel builds, the same for both sides.
    jobs: usize,
    /// Makes all builds new.
    renew: &'a dyn Fn() -> Result<()>,
}

/// One run of build-all.
struct Built {
    seconds: f64,
    /// CPU seconds of xtask itself.
    cpu: f64,
}

/// The fields used of build-all's report.
#[derive(Deserialize)]
struct Report {
    variants: Vec<Variant>,
    #[serde(rename = "ownCpuSeconds")]
    cpu: f64,
}

#[derive(Deserialize)]
struct Variant {
    state: String,
}

impl<'a> Bench<'a> {
    fn open(
        global: &Global,
        ui: &Ui,
        folder: &'a Path,
        hosts: Vec<String>,
        jobs: usize,
        renew: &'a dyn Fn() -> Result<()>,
    ) -> Result<Self> {
        renew()?;
        let context = open(global, ui, folder)?;
        Ok(Self { context, revision: global.testbed, folder, hosts, jobs, renew })
    }

    /// Compares build-all with `nix build` twice: with an evaluation before both, and with the
    /// evaluation included in the time of both.
    fn over_nix(&self, what: &str, runs: usize) -> Result<Vec<Ratio>> {
        let (mut building, mut whole) = (vec![], vec![]);
        for nth in 1..=runs {
            building.push(pair(nth, || self.evaluated(), || self.nix_build_evaluated())?);
            whole.push(pair(nth, || self.whole(), || self.nix_build())?);
        }
        let ui = &self.context.ui;
        Ok(vec![
            output(ui, format!("{what}, evaluated before / nix build"), OVER_NIX, building),
            output(ui, format!("{what}, evaluation too / nix build"), OVER_NIX, whole),
        ])
    }

    fn evaluated(&self) -> Result<f64> {
        (self.renew)()?;
        timed(&xtask("check", self.folder, self.revision)?.arg("--quiet"))?;
        Ok(self.build_all(false)?.seconds)
    }

    fn whole(&self) -> Result<f64> {
        (self.renew)()?;
        Ok(self.build_all(false)?.seconds)
    }

    fn nix_build_evaluated(&self) -> Result<f64> {
        (self.renew)()?;
        let flake = &self.context.flake;
        let apply = derivations_of(self.hosts.iter());
        let call = flake.nix.command(["eval", "--json"]).args(&flake.options);
        let call = call.arg(format!("{}#nixosConfigurations", flake.reference));
        let output = timed(&call.args(["--apply", &apply]))?.1;
        let drvs: Vec<String> = serde_json::from_str(&output.stdout_text())
            .with_context(|| format!("nix reported no derivations: {}", output.stdout_text()))?;
        self.nix_build_of(drvs.iter().map(|drv| format!("{drv}^*")))
    }

    fn nix_build(&self) -> Result<f64> {
        (self.renew)()?;
        let reference = &self.context.flake.reference;
        self.nix_build_of(self.hosts.iter().map(|host| {
            format!("{reference}#nixosConfigurations.{host}.config.programs.llama-cpp.package")
        }))
    }

    fn nix_build_of(&self, installables: impl Iterator<Item = String>) -> Result<f64> {
        let flake = &self.context.flake;
        let call = flake.nix.command(["build", "--no-link", "--keep-going"]).args(&flake.options);
        Ok(timed(&self.with_jobs(call).args(installables))?.0)
    }

    fn build_all(&self, on_terminal: bool) -> Result<Built> {
        let call = xtask("build-all", self.folder, self.revision)?.args(["--json", "--no-link"]);
        // As in an interactive terminal, wherever this runs.
        let call = ["CI", "GITHUB_ACTIONS", "NO_COLOR"]
            .iter()
            .fold(call, |call, name| call.env(name, ""))
            .env("TERM", "xterm-256color");
        let call = self.with_jobs(call);
        let call = if on_terminal { call.on_terminal() } else { call };
        let (seconds, output) = timed(&call)?;
        if on_terminal && !output.stderr.contains(&b'\x1b') {
            bail!("`{call}` drew no bars: {}", output.stderr_text());
        }
        let report: Report = serde_json::from_str(&output.stdout_text())
            .with_context(|| format!("`{call}` printed no report: {}", output.stdout_text()))?;
        // An existing build would be measured as a very fast one.
        if !report.variants.iter().all(|variant| variant.state == "built") {
            bail!("`{call}` did not build everything: {}", output.stdout_text());
        }
        Ok(Built { seconds, cpu: report.cpu })
    }

    fn with_jobs(&self, call: Invocation) -> Invocation {
        let cores = (resources::cores() / self.jobs).max(1);
        let (jobs, cores) = (self.jobs.to_string(), cores.to_string());
        call.args(["--max-jobs", &jobs, "--cores", &cores])
    }
}
