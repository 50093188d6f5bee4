//! `bench --all`: measures every host in turn, then shows all results.

use anyhow::{Result, bail};
use serde::Serialize;

use crate::bench::args::BenchArgs;
use crate::bench::baseline::in_words;
use crate::bench::command::{measure_host, or_findings, target};
use crate::bench::document::BenchReport;
use crate::bench::view;
use crate::check::report::NO_MODULE;
use crate::findings::finding::{Finding, Severity};
use crate::findings::outcome::Outcome;
use crate::findings::view::print;
use crate::fleet::context::Context;
use crate::fleet::names::HostName;
use crate::system::interrupt::{self, Interrupted};
use crate::ui::table::{Cell, Table};
use crate::ui::{Ui, units};

#[derive(Debug, Serialize)]
struct AllReport {
    schema: u32,
    command: &'static str,
    hosts: Vec<HostBench>,
    ok: bool,
}

#[derive(Debug, Serialize)]
struct HostBench {
    host: HostName,
    /// As `bench HOST` prints it; null if it could not be measured.
    report: Option<BenchReport>,
    /// Why it could not be measured.
    findings: Vec<Finding>,
    /// What broke, or that the user stopped the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip)]
    interrupted: bool,
    ok: bool,
}

pub fn run(args: &BenchArgs, context: &Context) -> Result<Outcome> {
    let ui = &context.ui;
    let fleet = context.flake.fleet()?;
    let has_target = |host: &HostName| fleet.get(host).is_some_and(|it| it.target.is_some());
    let (asked, without): (Vec<HostName>, _) =
        context.hosts(&[])?.into_iter().partition(has_target);
    if asked.is_empty() {
        bail!("no host of the flake's `fleet` has a target: pass a HOST and --target or --local");
    }
    for host in without {
        ui.status(format!("{host} has no target: skipped"));
    }
    let benched = asked.into_iter().filter_map(|host| bench(args, context, host));
    let hosts: Vec<HostBench> = benched.collect();
    if hosts.is_empty() {
        bail!("no host with a target uses the llama-cpp module");
    }
    let ok = hosts.iter().all(|bench| bench.ok);
    let report = AllReport { schema: 1, command: "bench", hosts, ok };
    ui.document(&report)?;
    ui.status("");
    ui.result(table(ui, &report));
    let mut failed = report.hosts.iter().filter(|bench| !bench.ok).peekable();
    Ok(match failed.peek().is_some() && failed.all(|bench| bench.error.is_some()) {
        true => Outcome::Unavailable,
        false => Outcome::new(ok, report.hosts.iter().flat_map(HostBench::all_findings)),
    })
}

/// Measures one host. None if it does not use the module.
fn bench(args: &BenchArgs, context: &Context, host: HostName) -> Option<HostBench> {
    let ui = &context.ui;
    let measured = interrupt::check().map_err(Into::into).and_then(|()| {
        ui.status(format!("\n{}", ui.bold(host.as_str())));
        let args = BenchArgs { host: host.to_string(), ..args.clone() };
        or_findings(target(&args, context).and_then(|to| measure_host(&args, context, to)))
    });
    let (report, findings, error) = (None, vec![], None);
    let mut bench = HostBench { host, report, findings, error, interrupted: false, ok: false };
    match measured {
        Ok(Ok(report)) => {
            view::print(ui, &report);
            bench.ok = report.ok;
            bench.report = Some(report);
        }
        Ok(Err(findings)) if findings.iter().all(|finding| finding.code == NO_MODULE) => {
            ui.status(format!("{} does not use the llama-cpp module: skipped", bench.host));
            return None;
        }
        Ok(Err(findings)) => {
            findings.iter().for_each(|finding| print(ui, bench.host.as_str(), finding));
            bench.findings = findings;
        }
        Err(error) => {
            bench.interrupted = error.is::<Interrupted>();
            if !bench.interrupted {
                ui.error(&error);
            }
            bench.error = Some(format!("{error:#}"));
        }
    }
    Some(bench)
}

impl HostBench {
    /// Returns the findings of its report, or why it has none.
    fn all_findings(&self) -> impl Iterator<Item = &Finding> {
        self.report.iter().flat_map(|report| &report.findings).chain(&self.findings)
    }
}

/// Returns a table with a row for each test of each host; a host without results has one row.
fn table(ui: &Ui, report: &AllReport) -> String {
    let mut rows: Vec<Vec<Cell>> = vec![];
    for bench in &report.hosts {
        let HostBench { host, report, .. } = bench;
        let why = match bench.all_findings().find(|it| it.severity == Severity::Error) {
            Some(finding) => finding.code,
            None if bench.interrupted => "interrupted",
            None => "error",
        };
        let paint = if why == "interrupted" { Ui::yellow } else { Ui::red };
        let mut name = host.as_str();
        for result in report.iter().flat_map(|report| &report.results) {
            let baselines = report.iter().filter_map(|report| report.baseline.as_ref());
            let mut changes = baselines.flat_map(|baseline| &baseline.tests);
            let verdict = match changes.find(|change| change.test == result.test) {
                Some(change) => in_words(change.verdict, change.is_clear()).into(),
                None if bench.ok => "-".into(),
                None => Cell::painted(why, paint),
            };
            let speed = units::speed(result.tokens_per_second);
            rows.push(vec![name.into(), result.test.as_str().into(), speed.into(), verdict]);
            name = "";
        }
        if name == host.as_str() {
            let failed = Cell::painted(format!("not measured: {why}"), paint);
            rows.push(vec![name.into(), "-".into(), "-".into(), failed]);
        }
    }
    Table { columns: &["HOST", "TEST", ">TOKENS/S", "AGAINST BASELINE"], rows }.render(ui)
}
