//! `perf`: the budgets of check, measured side by side on generated fleets.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::cli::{self, Era, Global};
use crate::cmd::Outcome;
use crate::cmd::context::Context;
use crate::domain::names::nix_string;
use crate::domain::perf::{self, PerfReport, Ratio};
use crate::sys::process::Invocation;
use crate::sys::{files, fleet_copy, interrupt, paths, real_fleet};
use crate::ui::Ui;
use crate::ui::table::{Align, Table};

/// What check may hold, whatever the number of hosts; it is told so.
const MEMORY: u64 = 2 << 30;

pub fn run(args: &cli::Perf, global: &Global, ui: &Ui) -> Result<Outcome> {
    // Discover.
    let cli::PerfSubject::Check = args.what;
    let (root, home) = (paths::repository_root()?, paths::home()?);
    // Plan.
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
    // A fleet of real hosts has its own inputs, whatever they were taken from.
    let (kind, testbed) = match &args.nixpkgs {
        Some(_) => ("real hosts", None),
        None => ("hosts", global.testbed),
    };
    let global = Global { testbed, ..global.clone() };
    // Run.
    let mut ratios = vec![];
    for (count, folder) in fleets {
        ui.say(format!("measuring {count} {kind}, {} runs each", args.runs));
        ratios.extend(measure(&global, ui, &folder, (count, kind), args.runs)?);
    }
    // Report.
    let report = PerfReport::new(ratios);
    ui.document(&report)?;
    print(ui, &report);
    Ok(Outcome::from_ok(report.ok))
}

fn measure(
    global: &Global,
    ui: &Ui,
    folder: &Path,
    (count, kind): (usize, &str),
    runs: usize,
) -> Result<Vec<Ratio>> {
    let reference = folder.to_str().context("the folder's path is not UTF-8")?.to_owned();
    let global = Global { flake: Some(reference), ..global.clone() };
    let bench = Bench { context: Context::open(&global, ui)?, era: global.testbed, folder };
    let hosts = perf::hosts(count);
    let (first, microarch) = hosts.first().context("a fleet without hosts")?;
    let own = format!("nixosConfigurations.{first}.config.programs.llama-cpp.package.drvPath");
    let names: Vec<String> = hosts.iter().map(|(host, _)| nix_string(host)).collect();
    let all = format!(
        "c: map (h: c.${{h}}.config.programs.llama-cpp.package.drvPath) [ {} ]",
        names.join(" ")
    );
    let (mut unchanged, mut unread, mut edited) = (vec![], vec![], vec![]);
    let (mut cold, mut memory) = (vec![], vec![]);
    // The first time, inputs are copied to the store.
    bench.check(&[])?;
    for nth in 1..=runs {
        let peak = Peak::default();
        let one = std::thread::scope(|scope| {
            scope.spawn(|| peak.watch(folder));
            let took = bench.check(&["--no-cache", "--max-memory", &MEMORY.to_string()]);
            peak.ended.store(true, Ordering::Relaxed);
            took
        })?;
        let max = peak.bytes.load(Ordering::Relaxed);
        memory.push((max as f64, MEMORY as f64));
        cold.push((
            one,
            bench.nix(&["eval", "--json"], "nixosConfigurations", &["--apply", &all])?,
        ));
        unchanged.push((bench.check(&[])?, bench.metadata()?));
        bench.edit("README.md", &format!("run {nth}\n"))?;
        unread.push((bench.check(&[])?, bench.metadata()?));
        bench.edit(&format!("hosts/{first}/default.nix"), &perf::module(microarch, nth))?;
        // The edited tree is new to both: whoever comes first copies it.
        let mut pair = (0.0, 0.0);
        for step in [nth, nth + 1] {
            match step % 2 {
                0 => pair.0 = bench.check(&[])?,
                _ => pair.1 = bench.nix(&["eval", "--json"], &own, &[])?,
            }
        }
        edited.push(pair);
    }
    Ok(vec![
        Ratio::new(format!("{count} {kind}, nothing changed / nix flake metadata"), 3.0, unchanged),
        Ratio::new(format!("{count} {kind}, README edited / nix flake metadata"), 3.0, unread),
        Ratio::new(format!("{count} {kind}, one host edited / nix eval of it"), 1.2, edited),
        Ratio::new(format!("{count} {kind}, cold / one nix eval of all"), cold_budget(count), cold),
        Ratio::new(format!("{count} {kind}, cold, peak memory / --max-memory"), 1.0, memory),
    ])
}

/// Few hosts gain nothing by being shared out; their budget is not to lose much either.
fn cold_budget(count: usize) -> f64 {
    if count >= 32 { 0.9 } else { 3.0 }
}

struct Bench<'a> {
    context: Context,
    era: Option<Era>,
    folder: &'a Path,
}

impl Bench<'_> {
    fn check(&self, words: &[&str]) -> Result<f64> {
        let own = std::env::current_exe().context("cannot tell which program this is")?;
        let mut call = Invocation::new(own).args(["check", "--quiet", "--flake"]);
        call = call.arg(self.folder).args(words.iter().copied());
        match self.era {
            Some(Era::New) => call = call.arg("--testbed=new"),
            Some(Era::Old) => call = call.arg("--testbed=old"),
            None => {}
        }
        self.time(&call)
    }

    fn nix(&self, words: &[&str], attribute: &str, more: &[&str]) -> Result<f64> {
        let flake = &self.context.flake;
        let call = flake.nix.command(words.iter().copied()).args(&flake.options);
        let call = call.arg(format!("{}#.{attribute}", flake.reference));
        self.time(&call.args(more.iter().copied()))
    }

    fn metadata(&self) -> Result<f64> {
        let flake = &self.context.flake;
        let call = flake.nix.command(["flake", "metadata", "--json"]).args(&flake.options);
        self.time(&call.arg(&flake.reference))
    }

    fn time(&self, call: &Invocation) -> Result<f64> {
        if interrupt::requested() {
            bail!("interrupted");
        }
        let began = Instant::now();
        let said = self.context.flake.nix.capture(call, Some(Duration::from_secs(600)))?;
        let took = began.elapsed().as_secs_f64();
        if !said.exit.ok() {
            bail!("`{call}` ({}): {}", said.exit, said.stderr_text());
        }
        Ok(took)
    }

    fn edit(&self, name: &str, text: &str) -> Result<()> {
        files::write_atomically(&self.folder.join(name), text.as_bytes())
    }
}

/// The most that was held at once.
#[derive(Default)]
struct Peak {
    bytes: std::sync::atomic::AtomicU64,
    ended: AtomicBool,
}

impl Peak {
    fn watch(&self, folder: &Path) {
        while !self.ended.load(Ordering::Relaxed) {
            self.bytes.fetch_max(fleet_copy::held(folder), Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn print(ui: &Ui, report: &PerfReport) {
    let columns = [
        ("WHAT", Align::Left),
        ("RATIO", Align::Right),
        ("BUDGET", Align::Right),
        ("", Align::Left),
    ];
    let number =
        |value: f64| if value < 1000.0 { format!("{value:.3} s") } else { megabytes(value) };
    let rows = report
        .ratios
        .iter()
        .map(|ratio| {
            let (subject, yardstick) = ratio.medians();
            let verdict = if ratio.ok { "within" } else { "missed" };
            vec![
                ratio.name.clone().into(),
                format!("{:.2}", ratio.value).into(),
                format!("{:.1}", ratio.budget).into(),
                format!("{verdict}: {} / {}", number(subject), number(yardstick)).into(),
            ]
        })
        .collect();
    ui.result(Table { columns: &columns, rows }.render(ui));
}

fn megabytes(bytes: f64) -> String {
    format!("{:.0} MB", bytes / 1e6)
}
