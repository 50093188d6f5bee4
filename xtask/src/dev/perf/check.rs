//! Budgets of check, compared with Nix on generated fleets.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::dev::args::PerfArgs;
use crate::dev::perf::budgets::{self, Ratio};
use crate::dev::perf::{derivations_of, fleet_copy, open, pair, real_fleet, timed, xtask};
use crate::fleet::args::Global;
use crate::fleet::context::Context;
use crate::system::process::Invocation;
use crate::system::{files, paths};
use crate::testbed::revision::TestbedRevision;
use crate::ui::Ui;

/// Memory limit of check for any number of hosts, passed as --max-memory.
const MEMORY: u64 = 2 << 30;

pub fn budgets(args: &PerfArgs, global: &Global, ui: &Ui) -> Result<Vec<Ratio>> {
    let (root, home) = (paths::repository_root()?, paths::home()?);
    let fleets: Vec<(usize, PathBuf)> = args
        .hosts
        .iter()
        .map(|count| {
            let folder = match &args.nixpkgs {
                Some(nixpkgs) => real_fleet::make(&root, &home, nixpkgs, global.testbed, *count)?,
                None => fleet_copy::make(&root, &home, *count)?,
            };
            Ok((*count, folder))
        })
        .collect::<Result<_>>()?;
    // A fleet of real hosts has its own inputs.
    let (kind, testbed) = match &args.nixpkgs {
        Some(_) => ("real hosts", None),
        None => ("hosts", global.testbed),
    };
    let global = Global { testbed, ..global.clone() };
    let mut ratios = vec![];
    for (count, folder) in fleets {
        ui.status(format!("measuring {count} {kind}, {} runs each", args.runs));
        ratios.extend(measure(&global, ui, &folder, (count, kind), args.runs)?);
    }
    Ok(ratios)
}

fn measure(
    global: &Global,
    ui: &Ui,
    folder: &Path,
    (count, kind): (usize, &str),
    runs: usize,
) -> Result<Vec<Ratio>> {
    let bench = Bench { context: open(global, ui, folder)?, revision: global.testbed, folder };
    let hosts = budgets::hosts(count);
    let (first, microarch) = hosts.first().context("the fleet has no hosts")?;
    let drv_path = format!("nixosConfigurations.{first}.config.programs.llama-cpp.package.drvPath");
    let all = derivations_of(hosts.iter().map(|(host, _)| host));
    let (mut unchanged, mut readme_edited, mut edited) = (vec![], vec![], vec![]);
    let (mut cold, mut memory) = (vec![], vec![]);
    // The first call copies inputs to the store.
    bench.check(&[])?;
    for nth in 1..=runs {
        let peak = Peak::default();
        let one = std::thread::scope(|scope| {
            scope.spawn(|| peak.watch(folder));
            let seconds = bench.check(&["--no-cache", "--max-memory", &MEMORY.to_string()]);
            peak.ended.store(true, Ordering::Relaxed);
            seconds
        })?;
        let max = peak.bytes.load(Ordering::Relaxed);
        memory.push((max as f64, MEMORY as f64));
        cold.push((one, bench.eval("nixosConfigurations", &["--apply", &all])?));
        unchanged.push((bench.check(&[])?, bench.metadata()?));
        bench.edit("README.md", &format!("run {nth}\n"))?;
        readme_edited.push((bench.check(&[])?, bench.metadata()?));
        bench.edit(&format!("hosts/{first}/default.nix"), &budgets::module(microarch, nth))?;
        // The first of the two copies the edited tree to the store, so the order alternates.
        let eval = || bench.eval(&drv_path, &[]);
        edited.push(pair(nth, || bench.check(&[]), eval)?);
    }
    Ok(vec![
        Ratio::new(format!("{count} {kind}, nothing changed / nix flake metadata"), 3.0, unchanged),
        Ratio::new(
            format!("{count} {kind}, README edited / nix flake metadata"),
            3.0,
            readme_edited,
        ),
        Ratio::new(format!("{count} {kind}, one host edited / nix eval of it"), 1.2, edited),
        Ratio::new(format!("{count} {kind}, cold / one nix eval of all"), cold_budget(count), cold),
        Ratio::new(format!("{count} {kind}, cold, peak memory / --max-memory"), 1.0, memory),
    ])
}

/// Returns the budget for an evaluation without a cache. Few hosts gain nothing from parallel
/// evaluators, so their budget only limits the loss.
fn cold_budget(count: usize) -> f64 {
    if count >= 32 { 0.9 } else { 3.0 }
}

struct Bench<'a> {
    context: Context,
    revision: Option<TestbedRevision>,
    folder: &'a Path,
}

impl Bench<'_> {
    fn check(&self, words: &[&str]) -> Result<f64> {
        let call = xtask("check", self.folder, self.revision)?.arg("--quiet");
        seconds(&call.args(words.iter().copied()))
    }

    fn eval(&self, attribute: &str, more: &[&str]) -> Result<f64> {
        let flake = &self.context.flake;
        let call = flake.nix.command(["eval", "--json"]).args(&flake.options);
        let call = call.arg(format!("{}#.{attribute}", flake.reference));
        seconds(&call.args(more.iter().copied()))
    }

    fn metadata(&self) -> Result<f64> {
        let flake = &self.context.flake;
        let call = flake.nix.command(["flake", "metadata", "--json"]).args(&flake.options);
        seconds(&call.arg(&flake.reference))
    }

    fn edit(&self, name: &str, text: &str) -> Result<()> {
        files::write_atomically(&self.folder.join(name), text.as_bytes())
    }
}

fn seconds(call: &Invocation) -> Result<f64> {
    Ok(timed(call)?.0)
}

/// Samples the peak memory of the processes on a fleet.
#[derive(Default)]
struct Peak {
    bytes: std::sync::atomic::AtomicU64,
    ended: AtomicBool,
}

impl Peak {
    fn watch(&self, folder: &Path) {
        while !self.ended.load(Ordering::Relaxed) {
            self.bytes.fetch_max(fleet_copy::memory(folder), Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
