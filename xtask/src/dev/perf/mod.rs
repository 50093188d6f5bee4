//! `perf`: measures the speed of a command and compares it with its budgets.

pub mod bench;
pub mod bench_budgets;
pub mod budgets;
pub mod build;
pub mod build_fleet;
pub mod check;
pub mod fleet_copy;
pub mod hand_build;
pub mod parts;
pub mod real_fleet;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::dev::args::{PerfArgs, PerfSubject};
use crate::dev::perf::budgets::PerfReport;
use crate::findings::outcome::Outcome;
use crate::fleet::args::Global;
use crate::fleet::context::Context;
use crate::nix::names::nix_list;
use crate::system::interrupt;
use crate::system::process::{self, Captured, Invocation};
use crate::testbed::revision::TestbedRevision;
use crate::ui::Ui;
use crate::ui::table::Table;

/// Timeout of one measurement. The first build of a source takes the longest.
const LONGEST: Duration = Duration::from_secs(3600);

pub fn run(args: &PerfArgs, global: &Global, ui: &Ui) -> Result<Outcome> {
    // Discover, plan, run.
    let ratios = match args.what {
        PerfSubject::Check => check::budgets(args, global, ui)?,
        PerfSubject::Bench => bench::budgets(args, global, ui)?,
        PerfSubject::Build => build::budgets(args, global, ui)?,
    };
    // Report.
    let report = PerfReport::new(ratios);
    ui.document(&report)?;
    print(ui, &report);
    Ok(Outcome::from_ok(report.ok))
}

/// Returns a call of this program on the fleet in `folder`.
fn xtask(command: &str, folder: &Path, revision: Option<TestbedRevision>) -> Result<Invocation> {
    let program = std::env::current_exe().context("cannot find the path of this program")?;
    let call = Invocation::new(program).args([command, "--flake"]).arg(folder);
    Ok(call.args(revision.map(|revision| format!("--testbed={}", revision.name()))))
}

/// Opens the fleet in `folder`.
fn open(global: &Global, ui: &Ui, folder: &Path) -> Result<Context> {
    let reference = folder.to_str().context("the folder's path is not UTF-8")?.to_owned();
    Context::open(&Global { flake: Some(reference), ..global.clone() }, ui)
}

/// Returns a Nix function from `nixosConfigurations` to the derivations of these hosts.
fn derivations_of<'a>(hosts: impl Iterator<Item = &'a String>) -> String {
    let hosts = nix_list(hosts);
    format!("c: map (h: c.${{h}}.config.programs.llama-cpp.package.drvPath) {hosts}")
}

/// Runs a program, which must succeed. Returns its time in seconds and its output.
fn timed(call: &Invocation) -> Result<(f64, Captured)> {
    interrupt::check()?;
    let began = Instant::now();
    let output = process::capture(call, Some(LONGEST))?;
    let seconds = began.elapsed().as_secs_f64();
    if !output.exit.ok() {
        bail!("`{call}` ({}): {}", output.exit, output.stderr_text());
    }
    Ok((seconds, output))
}

/// Measures a pair. The order alternates with `nth`.
fn pair(
    nth: usize,
    subject: impl Fn() -> Result<f64>,
    reference: impl Fn() -> Result<f64>,
) -> Result<(f64, f64)> {
    let mut pair = (0.0, 0.0);
    for step in [nth, nth + 1] {
        match step % 2 {
            0 => pair.0 = subject()?,
            _ => pair.1 = reference()?,
        }
    }
    Ok(pair)
}

fn print(ui: &Ui, report: &PerfReport) {
    let columns = ["WHAT", ">RATIO", ">BUDGET", ""];
    let number =
        |value: f64| if value < 1000.0 { format!("{value:.3} s") } else { megabytes(value) };
    let rows = report
        .ratios
        .iter()
        .map(|ratio| {
            let (subject, reference) = ratio.medians();
            let verdict = if ratio.ok { "within" } else { "missed" };
            let (budget, detail) = match ratio.interval {
                None => {
                    let detail = format!("{verdict}: {} / {}", number(subject), number(reference));
                    (decimals(ratio.budget), detail)
                }
                Some([low, high]) => {
                    let rest =
                        format!("{low:.3} to {high:.3}, {subject:.1} / {reference:.1} tokens/s");
                    match ratio.budget {
                        0.0 => ("-".to_owned(), rest),
                        budget => (format!("≥ {budget}"), format!("{verdict}: {rest}")),
                    }
                }
            };
            let value = match ratio.interval {
                Some(_) => format!("{:.3}", ratio.value),
                None => decimals(ratio.value),
            };
            vec![ratio.name.clone().into(), value.into(), budget.into(), detail.into()]
        })
        .collect();
    ui.result(Table { columns: &columns, rows }.render(ui));
}

/// Formats three significant digits: 0.0153, 1.02, 17.3.
fn decimals(value: f64) -> String {
    match value {
        value if value < 0.1 => format!("{value:.4}"),
        value if value < 10.0 => format!("{value:.2}"),
        value => format!("{value:.1}"),
    }
}

fn megabytes(bytes: f64) -> String {
    format!("{:.0} MB", bytes / 1e6)
}
