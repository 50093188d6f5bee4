//! The output of `bench`.

use crate::bench::baseline::{Baseline, Method, Verdict, in_words, is_clear, verdict};
use crate::bench::comparison::{Standing, distinct};
use crate::bench::document::BenchReport;
use crate::bench::llama_bench::TestResult;
use crate::bench::measurement::Model;
use crate::bench::memory_bandwidth::MemoryBandwidth;
use crate::findings;
use crate::nix::flake_input::short;
use crate::statistics::{MIN_PROCESSES, Ratio};
use crate::ui::table::{Cell, Table};
use crate::ui::{Ui, units};

pub fn print(ui: &Ui, report: &BenchReport) {
    let row = |result: &TestResult| {
        let slowest = result.samples.iter().copied().fold(f64::INFINITY, f64::min);
        let fastest = result.samples.iter().copied().fold(0.0, f64::max);
        vec![
            result.test.as_str().into(),
            units::speed(result.tokens_per_second).into(),
            format!("{} to {}", units::speed(slowest), units::speed(fastest)).into(),
            result.samples.len().to_string().into(),
        ]
    };
    let columns = ["TEST", ">TOKENS/S", ">RANGE", ">SAMPLES"];
    if !report.results.is_empty() {
        ui.result(heading(report));
        let rows = report.results.iter().map(row).collect();
        ui.result(Table { columns: &columns, rows }.render(ui));
        ui.status(ui.dim(ESTIMATE));
    }
    if let Some(memory) = &report.memory_bandwidth {
        ui.result(bandwidth(memory));
    }
    if let Some(baseline) = &report.baseline {
        ui.result(against(ui, baseline));
    }
    let host = report.host.as_str();
    let findings = report.findings.iter().filter(|finding| !report.shown.contains(finding));
    findings.for_each(|finding| findings::view::print(ui, host, finding));
}

/// Explains the speeds of a table.
const ESTIMATE: &str =
    "tokens/s: mean of the fastest quarter of the llama-bench runs, each by its fastest repetition";

/// `generation reads 98.4 MB a token: 61 % of this machine's memory bandwidth (24.1 GB/s, 2 threads)`
fn bandwidth(memory: &MemoryBandwidth) -> String {
    format!(
        "generation reads {} a token: {:.0} % of this machine's memory bandwidth ({}/s, {} \
         threads)",
        units::bytes(memory.bytes_per_token),
        memory.percent,
        units::bytes(memory.bytes_per_second),
        memory.threads,
    )
}

/// Returns a table of the comparison with the baseline, a row for each test.
fn against(ui: &Ui, baseline: &Baseline) -> String {
    let rows = baseline.tests.iter().map(|change| {
        let words = in_words(change.verdict, change.is_clear());
        let [low, high] = change.interval_percent;
        vec![
            change.test.as_str().into(),
            units::speed(change.baseline_tokens_per_second).into(),
            units::speed(change.tokens_per_second).into(),
            format!("{:+.1} %", change.change_percent).into(),
            format!("{low:+.1} to {high:+.1} %").into(),
            Cell::painted(words, paint(change.verdict)),
        ]
    });
    let columns = ["TEST", ">BASELINE", ">NOW", ">CHANGE", ">WITHIN", "VERDICT"];
    let what = if baseline.saved { "the saved baseline" } else { "the last result" };
    let how = match baseline.method {
        Method::Stored => "",
        Method::SideBySide => "; both builds were measured again, in turns",
    };
    format!(
        "\nagainst {what}, {} of {}{how}:\n{}",
        baseline.llama_cpp.rev.as_deref().map_or(baseline.store_path.as_str(), short),
        units::day(&baseline.date),
        Table { columns: &columns, rows: rows.collect() }.render(ui)
    )
}

pub fn paint(verdict: Verdict) -> fn(&Ui, &str) -> String {
    match verdict {
        Verdict::Slower => Ui::red,
        Verdict::Faster => Ui::green,
        Verdict::Same => |_, text| text.to_owned(),
    }
}

/// `local on local: cpu-znver5, smoke-29m q4_0 (29 M parameters, 15.8 MiB), AMD EPYC, 2 threads`
fn heading(report: &BenchReport) -> String {
    let mut parts = vec![report.variant.to_string()];
    parts.extend(report.llama_cpp.rev.as_deref().map(|rev| format!("llama.cpp {}", short(rev))));
    parts.push(model_and_device(&report.model, report.device.as_deref(), report.threads));
    format!("{} on {}: {}", report.host, report.target, parts.join(", "))
}

/// `smoke-29m q4_0 (29 M parameters, 15.8 MiB), AMD EPYC, 2 threads`
pub fn model_and_device(model: &Model, device: Option<&str>, threads: Option<u32>) -> String {
    let size = [
        model.params.map(|params| format!("{:.0} M parameters", params as f64 / 1e6)),
        model.bytes.map(units::bytes),
    ];
    let size: Vec<String> = size.into_iter().flatten().collect();
    let quantization = model.quantization.iter().map(|name| format!(" {name}"));
    let mut name = model.name.clone() + &quantization.collect::<String>();
    if !size.is_empty() {
        name = format!("{name} ({})", size.join(", "));
    }
    let threads = threads.map(|threads| format!("{threads} threads"));
    let parts = [Some(name), device.map(str::to_owned), threads];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Returns a table with a row for each build and test, with its ratio to the first build and the
/// 99 % confidence interval, and a sentence for each ratio.
pub fn standings(ui: &Ui, standings: &[Standing]) -> String {
    let mut last = "";
    let rows = standings.iter().map(|standing| {
        let is_first = std::mem::replace(&mut last, &standing.test) != standing.test;
        let interval = standing.interval.filter(|_| !is_first);
        vec![
            (if is_first { standing.test.as_str() } else { "" }).into(),
            standing.label.as_str().into(),
            units::speed(standing.tokens_per_second).into(),
            or_dash(standing.ratio, ratio),
            or_dash(interval, |[low, high]| format!("{} to {}", ratio(low), ratio(high))),
        ]
    });
    let columns = ["TEST", "VARIANT", ">TOKENS/S", ">RATIO", ">99 % INTERVAL"];
    let table = Table { columns: &columns, rows: rows.collect() }.render(ui);
    let sentences = sentences(standings);
    format!("{table}\n{}\n\n{}", ui.dim(ESTIMATE), sentences.join("\n"))
}

/// `tuned is 13.9 times as fast as upstream at prompts, 99 % interval 11.6 to 16.5`
fn sentences(standings: &[Standing]) -> Vec<String> {
    let Some(first) = standings.first().map(|standing| standing.label.as_str()) else {
        return vec![];
    };
    let tests = distinct(standings.iter().map(|standing| standing.test.as_str()));
    let work = |test: &str| {
        let kind = |test: &str| test.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned();
        let alone = tests.iter().filter(|other| kind(other) == kind(test)).count() == 1;
        match kind(test).as_str() {
            "pp" if alone => "prompts".to_owned(),
            "tg" if alone => "generation".to_owned(),
            _ => test.to_owned(),
        }
    };
    let sentence = |standing: &Standing| {
        let Standing { label, test, ratio: estimate, interval, .. } = standing;
        let (work, estimate) = (work(test), (*estimate)?);
        let Some([low, high]) = *interval else {
            return Some(format!(
                "{label} against {first} at {work}: inconclusive with fewer than \
                 {MIN_PROCESSES} rounds"
            ));
        };
        let verdict = verdict(&Ratio { estimate, low, high });
        let clear = is_clear(verdict, [low, high].map(|ratio| (ratio - 1.0) * 100.0));
        let text = match verdict {
            Verdict::Same if clear => format!("{label} is as fast as {first} at {work}"),
            Verdict::Same => format!("{label} against {first} at {work}: inconclusive"),
            _ => format!("{label} is {} times as fast as {first} at {work}", ratio(estimate)),
        };
        Some(format!("{text}, 99 % interval {} to {}", ratio(low), ratio(high)))
    };
    standings.iter().filter(|standing| standing.label != first).filter_map(sentence).collect()
}

/// `0.98`, `13.9`, `139`
fn ratio(ratio: f64) -> String {
    match ratio {
        much if much >= 100.0 => format!("{much:.0}"),
        more if more >= 10.0 => format!("{more:.1}"),
        some => format!("{some:.2}"),
    }
}

/// Returns a table cell, `-` for None.
pub fn or_dash<T>(value: Option<T>, print: impl Fn(T) -> String) -> Cell {
    value.map_or("-".to_owned(), print).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::comparison::{Samples, standings as standings_of};

    #[test]
    fn table_and_sentences_agree() {
        let rounds = |speeds: &[f64]| {
            let mut samples = Samples::default();
            for speed in speeds {
                samples.add(&[TestResult::of("pp128", &[*speed, speed * 0.3])]);
            }
            samples
        };
        let upstream = rounds(&[401.2, 410.7, 160.0, 409.1, 402.0, 399.9, 405.3, 400.0]);
        let tuned = rounds(&[6964.8, 5000.1, 6950.0, 6900.0, 6940.0, 700.0, 6960.0, 6930.0]);
        let equal = rounds(&[401.0, 410.0, 160.0, 409.0, 402.0, 399.0, 405.0, 400.0]);
        let named = [("upstream", &upstream), ("tuned", &tuned), ("other", &equal)];
        let text = standings(&Ui::PLAIN, &standings_of(&named));
        let row = |label: &str| {
            let line = text.lines().find(|line| line.contains(label)).unwrap();
            let words = line.split_whitespace().filter_map(|word| word.parse::<f64>().ok());
            words.collect::<Vec<f64>>()
        };
        let (base, new) = (row("upstream"), row("tuned"));
        assert!((new[0] / base[0] - new[1]).abs() < 0.05, "{text}");
        let sentence =
            format!("tuned is {:.1} times as fast as upstream at prompts, 99 % interval", new[1]);
        assert!(text.contains(&sentence), "{text}");
        assert!(text.contains("other is as fast as upstream at prompts"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 95), "{text}");
    }
}
