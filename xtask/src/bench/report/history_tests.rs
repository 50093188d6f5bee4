//! Tests of the histories.

use std::time::{Duration, Instant};

use crate::bench::report::history::*;
use crate::bench::results::tests::record;
use crate::nix::names::StorePath;

fn one(run: &str, build: u64, samples: &[f64]) -> Record {
    let mut line = record(run, "pp128", samples);
    line.date = format!("2026-11-{run}T10:00:00Z");
    line.llama_cpp.build = Some(build);
    line.store_path = StorePath::new(format!("/nix/store/{build}"));
    line
}

/// Repeats a record for the minimum number of rounds of a verdict.
fn rounds(record: &Record) -> Vec<Record> {
    (0..8).map(|round| Record { round, ..record.clone() }).collect()
}

fn only(report: &Report) -> &Series {
    assert_eq!((report.hosts.len(), report.hosts[0].settings.len()), (1, 1));
    &report.hosts[0].settings[0].series[0]
}

fn report(measured: Vec<Record>) -> Report {
    of_hosts(measured, &[])
}

fn of_hosts(measured: Vec<Record>, requested: &[String]) -> Report {
    let mut histories = Histories::of(requested);
    measured.iter().for_each(|record| histories.add(record));
    histories.report(vec![])
}

/// Returns a report of runs with eight rounds, each of the next day and build.
fn history(speeds: &[f64]) -> Report {
    let each = speeds.iter().zip(10_u64..);
    report(each.flat_map(|(speed, day)| rounds(&one(&day.to_string(), day, &[*speed]))).collect())
}

#[test]
fn quantiles_are_interpolated() {
    let sorted = [1.0, 2.0, 3.0, 4.0];
    let shares = [0.0, 0.25, 0.5, 0.75, 1.0].map(|share| quantile(&sorted, share));
    assert_eq!(shares, [1.0, 1.75, 2.5, 3.25, 4.0]);
    assert_eq!(quantile(&[7.0], 0.25), 7.0);
    assert_eq!(quantile(&[], 0.5), 0.0);
}

#[test]
fn rounds_of_a_run_are_one_point_and_the_oldest_comes_first() {
    let mut other_build = one("12", 7, &[8.0]);
    other_build.store_path = StorePath::new("/nix/store/upstream");
    let report = report(vec![
        one("12", 7, &[3.0, 1.0]),
        other_build,
        one("12", 7, &[2.0]),
        one("11", 6, &[9.0]),
    ]);
    let points = &only(&report).points;
    let summary: Vec<_> =
        points.iter().map(|p| (p.day(), p.median, p.min, p.rounds.len())).collect();
    assert_eq!(
        summary,
        [("2026-11-11", 9.0, 9.0, 1), ("2026-11-12", 2.0, 1.0, 2), ("2026-11-12", 8.0, 8.0, 1)]
    );
    assert_eq!(points[1].samples, [3.0, 1.0, 2.0]);
}

#[test]
fn only_comparable_runs_are_compared() {
    let mut flag = one("12", 7, &[1.0]);
    flag.flags = vec!["-fa".into(), "1".into()];
    let mut gpu = one("13", 7, &[1.0]);
    gpu.gpu = Some("g".into());
    let report = report(vec![one("11", 6, &[9.0]), gpu, flag]);
    let settings = &report.hosts[0].settings;
    // The last measured comes first.
    let devices: Vec<&str> = settings.iter().map(|setting| setting.key.device()).collect();
    assert_eq!(devices, ["g", "AMD EPYC", "AMD EPYC"]);
    assert!(settings.iter().all(|setting| setting.series[0].points[0].change.is_none()));
}

#[test]
fn the_newest_run_is_compared_with_the_previous_llama_cpp() {
    let mut again = one("13", 11, &[50.0]);
    again.run = "again".into();
    let runs = [one("10", 10, &[100.0]), one("11", 11, &[50.0]), again];
    let report = report(runs.iter().flat_map(rounds).collect());
    let series = only(&report);
    let now = series.now.as_ref().unwrap();
    assert_eq!((now.against, now.verdict, now.percent.round()), (0, Verdict::Slower, -50.0));
    // Nothing changed since the previous run.
    assert_eq!(series.points[2].verdict(), Verdict::Same);
    assert_eq!(series.slower_since, Some(1));
}

#[test]
fn a_slowdown_lasts_until_the_speed_recovers() {
    assert_eq!(only(&history(&[100.0, 80.0, 80.0, 100.0])).slower_since, None);
    assert_eq!(only(&history(&[100.0, 80.0, 80.0, 85.0])).slower_since, Some(1));
    // With two in a row, the first counts.
    assert_eq!(only(&history(&[100.0, 80.0, 60.0])).slower_since, Some(1));
    // Only the first one recovered.
    assert_eq!(only(&history(&[100.0, 80.0, 100.0, 60.0])).slower_since, Some(3));
    assert_eq!(only(&history(&[100.0])).slower_since, None);
}

#[test]
fn requested_hosts_without_results_are_missing() {
    let report = of_hosts(vec![one("11", 6, &[9.0])], &["b".into(), "a".into()]);
    assert_eq!((report.hosts.len(), report.missing.as_slice()), (1, &["b".to_owned()][..]));
    assert!(!report.ok);
}

#[test]
fn tests_are_described() {
    let words = ["pp512", "tg32 @ d512", "pp128+tg32", "something"].map(test_in_words);
    assert_eq!(
        words,
        [
            Some("reading a prompt of 512 tokens".into()),
            Some("generating 32 tokens, 512 tokens in".into()),
            Some("a prompt of 128 tokens, then 32 generated".into()),
            None
        ]
    );
}

/// With tens of thousands of lines, tests and settings, no search is linear.
#[test]
fn a_long_history_is_read_in_one_pass() {
    const MANY: usize = 20_000;
    let began = Instant::now();
    let mut histories = Histories::of(&[]);
    for number in 0..MANY {
        histories.add(&one("11", 6, &[1.0]));
        let mut test = one("11", 6, &[1.0]);
        test.results[0].test = format!("tg{number}");
        histories.add(&test);
        let mut setting = one("11", 6, &[1.0]);
        setting.flags = vec![format!("-b {number}")];
        histories.add(&setting);
    }
    let report = histories.report(vec![]);
    let settings = &report.hosts[0].settings;
    let first = settings.iter().find(|setting| setting.key.flags.is_empty()).unwrap();
    assert_eq!((settings.len(), first.series.len()), (MANY + 1, MANY + 1));
    let points = &first.series[0].points;
    assert_eq!((points.len(), points[0].rounds.len()), (1, MANY));
    // A few seconds; quadratic searches would take many minutes.
    assert!(began.elapsed() < Duration::from_secs(120), "{:?}", began.elapsed());
}
