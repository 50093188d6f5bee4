//! What `bench` shows a person.

use crate::bench::baseline::{Baseline, Method, Verdict};
use crate::bench::comparison::{Standing, distinct};
use crate::bench::document::BenchReport;
use crate::findings;
use crate::nix::flake_input::short;
use crate::ui::table::{Cell, Table};
use crate::ui::{Ui, units};

pub fn print(ui: &Ui, report: &BenchReport) {
    let rows = report
        .results
        .iter()
        .map(|result| {
            let spread = result.stddev / result.tokens_per_second.max(f64::MIN_POSITIVE);
            vec![
                result.test.as_str().into(),
                speed(result.tokens_per_second).into(),
                format!("± {:.1} %", spread * 100.0).into(),
                result.samples.len().to_string().into(),
            ]
        })
        .collect();
    let columns = ["TEST", ">TOKENS/S", ">SPREAD", ">SAMPLES"];
    if !report.results.is_empty() {
        ui.result(heading(report));
        ui.result(Table { columns: &columns, rows }.render(ui));
    }
    if let Some(baseline) = &report.baseline {
        ui.result(against(ui, baseline));
    }
    let host = report.host.as_str();
    report.findings.iter().for_each(|finding| findings::view::print(ui, host, finding));
}

/// The verdict, a row for each test.
fn against(ui: &Ui, baseline: &Baseline) -> String {
    let rows = baseline.tests.iter().map(|change| {
        let verdict = match change.verdict {
            Verdict::Slower => Cell::painted("slower", |ui, text| ui.red(text)),
            Verdict::Same => "same".into(),
            Verdict::Faster => Cell::painted("faster", |ui, text| ui.green(text)),
        };
        let [low, high] = change.interval_percent;
        vec![
            change.test.as_str().into(),
            speed(change.baseline_tokens_per_second).into(),
            speed(change.tokens_per_second).into(),
            format!("{:+.1} %", change.change_percent).into(),
            format!("{low:+.1} to {high:+.1} %").into(),
            verdict,
        ]
    });
    let columns = ["TEST", ">BASELINE", ">NOW", ">CHANGE", ">WITHIN", "VERDICT"];
    let what = if baseline.saved { "the saved baseline" } else { "the last result" };
    let how = match baseline.method {
        Method::Stored => "stored samples",
        Method::SideBySide => "both builds in turns",
    };
    format!(
        "\nagainst {what}, {} of {} ({how}; fastest quarter of the processes):\n{}",
        baseline.llama_cpp.rev.as_deref().map_or(baseline.store_path.as_str(), short),
        units::day(&baseline.date),
        Table { columns: &columns, rows: rows.collect() }.render(ui)
    )
}

/// `local on local: cpu-znver5, smoke-29m q4_0 (29 M parameters, 15.8 MiB), AMD EPYC, 2 threads`
fn heading(report: &BenchReport) -> String {
    let model = &report.model;
    let size = [
        model.params.map(|params| format!("{} M parameters", (params + 500_000) / 1_000_000)),
        model.bytes.map(units::bytes),
    ];
    let size: Vec<String> = size.into_iter().flatten().collect();
    let name = [Some(model.name.clone()), model.quantization.clone()];
    let mut name = name.into_iter().flatten().collect::<Vec<_>>().join(" ");
    if !size.is_empty() {
        name = format!("{name} ({})", size.join(", "));
    }
    let mut parts = vec![report.variant.to_string(), name];
    parts.extend(report.device.clone());
    parts.extend(report.threads.map(|threads| format!("{threads} threads")));
    format!("{} on {}: {}", report.host, report.target, parts.join(", "))
}

/// One row a contender, three columns a test: the median speed, how much the build gives
/// of what the first one gives, and what holds that with 99 % confidence.
pub fn standings(ui: &Ui, standings: &[Standing]) -> String {
    let tests = distinct(standings.iter().map(|standing| standing.test.as_str()));
    let labels = distinct(standings.iter().map(|standing| standing.label.as_str()));
    let heads: Vec<String> = tests.iter().map(|test| format!(">{test} TOKENS/S")).collect();
    let mut columns = vec!["VARIANT"];
    heads.iter().for_each(|head| columns.extend([head, ">RATIO", ">WITHIN"]));
    let row = |label: &str| {
        let mut row: Vec<Cell> = vec![label.into()];
        for test in &tests {
            let found = standings.iter().find(|it| it.label == label && it.test == *test);
            let ratio = found.and_then(|standing| standing.ratio);
            let within = found.and_then(|standing| standing.interval);
            row.push(or_dash(found, |it| speed(it.median_tokens_per_second)));
            row.push(or_dash(ratio, |ratio| format!("{ratio:.2}")));
            row.push(or_dash(within, |[low, high]| format!("{low:.2} to {high:.2}")));
        }
        row
    };
    let rows = labels.into_iter().map(row).collect();
    Table { columns: &columns, rows }.render(ui)
}

/// A cell; `-` where there is nothing.
pub fn or_dash<T>(value: Option<T>, print: impl Fn(T) -> String) -> Cell {
    value.map_or("-".to_owned(), print).into()
}

fn speed(tokens_per_second: f64) -> String {
    format!("{tokens_per_second:.1}")
}
