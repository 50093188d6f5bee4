//! Tests of verdicts on recorded samples: how often a simulated slowdown is found, and how often
//! one is reported where there is none.

use crate::bench::baseline::*;
use clap::Parser as _;

use crate::bench::results::tests::record;
use crate::statistics::random::SplitMix;

const RECORDED: &str = include_str!("../../tests/fixtures/llama-bench/repeated.txt");
/// The default rounds of bench, and the batches of bench/baseline_check.rs.
const ROUNDS: usize = 10;
const BATCHES: usize = 3;

/// The processes of one build in one test, in the order of their start.
struct Series(Vec<Vec<f64>>);

fn series(name: &str) -> Vec<Series> {
    let mut found = vec![];
    for revision in ["old", "new"] {
        for column in [2, 3] {
            let lines = RECORDED.lines().map(|line| line.split(' ').collect::<Vec<_>>());
            let lines = lines.filter(|words| words[0] == name && words[1] == revision);
            let numbers = |text: &str| text.split(',').map(|n| n.parse().unwrap()).collect();
            found.push(Series(lines.map(|words| numbers(words[column])).collect()));
        }
    }
    found
}

fn scaled(processes: &[Vec<f64>], by: f64) -> Vec<Vec<f64>> {
    processes.iter().map(|samples| samples.iter().map(|speed| speed * by).collect()).collect()
}

/// Compares a build with one of `share` times its speed, as bench does: first with samples of
/// different times, then in turns.
fn bench(series: &Series, share: f64, random: &mut SplitMix) -> (Change, Change) {
    let Series(all) = series;
    let mut window = |n: usize| {
        let from = random.below(all.len() - n + 1);
        &all[from..from + n]
    };
    let (then, now) = (window(ROUNDS), window(ROUNDS));
    let stored = change("t", then, &scaled(now, share), Method::Stored).unwrap();
    let paired = window(2 * ROUNDS * BATCHES);
    let (mut old, mut new) = (vec![], vec![]);
    for batch in 1..=BATCHES {
        for pair in paired[old.len() * 2..batch * ROUNDS * 2].chunks_exact(2) {
            let first = random.below(2);
            old.push(pair[first].clone());
            new.extend(scaled(&pair[1 - first..=1 - first], share));
        }
        let decided = change("t", &old, &new, Method::SideBySide).unwrap();
        if decided.is_clear() || batch == BATCHES {
            return (stored, decided);
        }
    }
    unreachable!()
}

/// Returns the verdict that the user sees.
fn verdict_of((stored, paired): &(Change, Change)) -> Verdict {
    let settled = stored.verdict == Verdict::Same && stored.is_clear();
    if settled { stored.verdict } else { paired.verdict }
}

#[test]
fn only_a_slowdown_of_ten_percent_is_reported_in_20_of_20_runs() {
    let mut random = SplitMix(2026);
    let series = series("bursts");
    for run in 0..20 {
        let series = &series[run % series.len()];
        let slower = bench(series, 0.9, &mut random);
        assert_eq!(verdict_of(&slower), Verdict::Slower, "{run}: {slower:?}");
        let same = bench(series, 1.0, &mut random);
        assert_eq!(verdict_of(&same), Verdict::Same, "{run}: {same:?}");
    }
}

/// Beside compilers, where four of five repetitions take up to a hundred times as long.
#[test]
fn ten_percent_on_a_busy_machine_is_found_or_inconclusive() {
    let mut random = SplitMix(2027);
    let series = series("busy");
    let mut found = 0;
    for run in 0..20 {
        let series = &series[run % series.len()];
        let slower = bench(series, 0.9, &mut random);
        match verdict_of(&slower) {
            Verdict::Slower => found += 1,
            Verdict::Same => assert!(!slower.1.is_clear(), "{run}: {slower:?}"),
            Verdict::Faster => panic!("{run}: {slower:?}"),
        }
        let same = bench(series, 1.0, &mut random);
        assert_eq!(verdict_of(&same), Verdict::Same, "{run}: {same:?}");
    }
    assert!(found >= 12, "{found} of 20");
}

/// The table of docs/performance.md: `cargo test --release --bin xtask -- --ignored
/// --nocapture error_rates`.
#[test]
#[ignore = "thousands of simulations take minutes without --release"]
fn error_rates() {
    const TIMES: usize = 1000;
    eprintln!("in percent: slower / same, but unclear / faster");
    for name in ["bursts", "busy"] {
        let all = series(name);
        for slower in [0.0, 2.0, 3.0, 5.0, 10.0] {
            let mut random = SplitMix(11);
            let runs: Vec<_> = (0..TIMES)
                .map(|run| bench(&all[run % all.len()], 1.0 - slower / 100.0, &mut random))
                .collect();
            let share = |wanted: &dyn Fn(&(Change, Change)) -> bool| {
                runs.iter().filter(|run| wanted(run)).count() as f64 * 100.0 / TIMES as f64
            };
            let stored = |v| share(&|run| run.0.verdict == v);
            let shown = |v| share(&|run| verdict_of(run) == v);
            let unclear = share(&|run| !run.1.is_clear());
            eprintln!(
                "{name:>6} {slower:>4} % slower: stored alone {:>5.1} / {:>4.1}; with turns \
                 {:>5.1} / {unclear:>4.1} / {:>4.1}",
                stored(Verdict::Slower),
                stored(Verdict::Faster),
                shown(Verdict::Slower),
                shown(Verdict::Faster),
            );
            if slower == 0.0 {
                assert!(shown(Verdict::Slower) + shown(Verdict::Faster) <= 2.0);
            }
            if slower == 10.0 && name == "bursts" {
                assert!(shown(Verdict::Slower) >= 99.0);
            }
        }
    }
}

fn run_of(name: &str, store: &str, rev: &str, tests: &[(&str, usize, f64)]) -> Run {
    let lines = tests.iter().flat_map(|(test, rounds, speed)| {
        (0..*rounds).map(move |round| {
            let mut line = record(name, test, &[*speed, speed + (round % 3) as f64]);
            line.store_path = StorePath::new(store);
            line.llama_cpp.rev = Some(rev.to_owned());
            line
        })
    });
    let newest_first: Vec<Record> = lines.collect();
    runs(newest_first.into_iter().rev()).next().unwrap()
}

fn run(name: &str, store: &str, rev: &str, speed: f64) -> Run {
    run_of(name, store, rev, &[("pp128", 10, speed), ("tg32", 10, speed)])
}

fn compared(base: &Run, new: &Run) -> Baseline {
    Baseline::new(
        base,
        false,
        Method::SideBySide,
        changes(&base.samples, &new.samples, Method::SideBySide),
    )
    .unwrap()
}

#[test]
fn a_regression_names_tests_change_revisions_and_the_next_step() {
    let good = run("r1", "/nix/store/x", "a41604cfa5fb271dc38b", 1000.0);
    let tests = [("pp128", 10, 880.0), ("tg32", 10, 1000.0)];
    let bad = run_of("r2", "/nix/store/y", "5ad058abc4e4f5b9ee62", &tests);
    let baseline = compared(&good, &bad);
    assert_eq!(baseline.verdict, Verdict::Slower);
    assert!((baseline.change_percent + 12.0).abs() < 0.1, "{baseline:?}");
    assert_eq!(baseline.tests[1].verdict, Verdict::Same);
    let findings = findings(&baseline, &bad.about, "");
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].code, "regression");
    let message = &findings[0].message;
    for part in ["pp128 -12.0 %", "5ad058abc", "a41604cfa", "2026-11-22"] {
        assert!(message.contains(part), "{message}");
    }
    assert!(!message.contains("tg32"), "{message}");
    // The printed command can be parsed.
    let command = findings[0].help.split('`').nth(1).unwrap();
    let words = command.strip_prefix("cargo ").unwrap().split(' ');
    match crate::cli::Cli::try_parse_from(words).unwrap().command {
        crate::cli::Command::Bisect(bisect) => {
            assert_eq!(bisect.host.as_deref(), Some("a"));
            assert_eq!(bisect.by.to_string(), "bench");
            assert_eq!(bisect.bad.as_deref(), Some("5ad058abc4e4f5b9ee62"));
        }
        _ => panic!("{command}"),
    }
}

/// A single pair has an interval without width.
#[test]
fn few_rounds_give_no_verdict() {
    let good = run_of("r1", "/nix/store/x", "a41604cfa5fb271dc38b", &[("pp128", 10, 1000.0)]);
    for (rounds, verdict) in [(1, Verdict::Same), (7, Verdict::Same), (8, Verdict::Slower)] {
        let tests = [("pp128", rounds, 500.0)];
        let bad = run_of("r2", "/nix/store/y", "5ad058abc4e4f5b9ee62", &tests);
        let baseline = compared(&good, &bad);
        assert_eq!(baseline.verdict, verdict, "{rounds}");
        let findings = findings(&baseline, &bad.about, "");
        let found: Vec<_> = findings.iter().map(|finding| finding.code).collect();
        if verdict == Verdict::Same {
            assert_eq!(found, ["noisy"]);
            assert!(findings[0].message.contains("fewer than 8 rounds"), "{findings:?}");
        } else {
            assert_eq!(found, ["regression"]);
        }
    }
}

/// An interval without 0 is narrow enough to find a change, but not to rule one out.
#[test]
fn no_change_is_claimed_only_if_none_of_three_percent_is_possible() {
    for (interval, clear) in
        [([-2.9, 2.9], true), ([-4.4, -0.8], false), ([0.5, 3.5], false), ([-9.0, 9.0], false)]
    {
        assert_eq!(is_clear(Verdict::Same, interval), clear, "{interval:?}");
    }
    let mut random = SplitMix(5);
    let all = series("bursts");
    let missed = |run: usize| {
        let run = bench(&all[run % all.len()], 0.96, &mut random);
        verdict_of(&run) == Verdict::Same && run.1.is_clear()
    };
    let missed = (0..60).map(missed).filter(|missed| *missed).count();
    assert!(missed <= 1, "{missed} of 60");
}

#[test]
fn the_same_build_cannot_be_a_regression() {
    let good = run("r1", "/nix/store/x", "a41604cfa", 1000.0);
    let bad = run("r2", "/nix/store/x", "a41604cfa", 880.0);
    let findings = findings(&compared(&good, &bad), &bad.about, "");
    assert_eq!(findings[0].code, "machine-slower");
    let other = run("r2", "/nix/store/y", "a41604cfa", 880.0);
    let findings = super::findings(&compared(&good, &other), &other.about, "");
    assert!(findings[0].help.contains("host's options"), "{findings:?}");
}

#[test]
fn faster_and_under_one_percent_are_no_findings() {
    let base = run("r1", "/nix/store/x", "a", 1000.0);
    for (speed, verdict) in [(1008.0, Verdict::Same), (1100.0, Verdict::Faster)] {
        let new = run("r2", "/nix/store/y", "b", speed);
        let baseline = compared(&base, &new);
        assert_eq!(baseline.verdict, verdict);
        assert_eq!(findings(&baseline, &new.about, ""), []);
    }
}

fn choose_of(saved: &[Run], earlier: &[Run], new: &Run) -> Option<(Run, bool)> {
    choose(saved.iter().rev().cloned(), earlier.iter().rev().cloned(), new)
}

#[test]
fn a_saved_run_precedes_the_last_one() {
    let (first, second) =
        (run("r1", "/nix/store/x", "a", 1.0), run("r2", "/nix/store/y", "b", 1.0));
    let mut other = run("r3", "/nix/store/z", "c", 1.0);
    other.about.flags.push("-fa".into());
    let new = run("r4", "/nix/store/w", "d", 1.0);
    let earlier = [first.clone(), second.clone(), other.clone(), new.clone()];
    let last = choose_of(&[], &earlier, &new).unwrap();
    assert_eq!((last.0.about.run.as_str(), last.1), ("r2", false));
    let saved = choose_of(std::slice::from_ref(&first), &earlier, &new).unwrap();
    assert_eq!((saved.0.about.run.as_str(), saved.1), ("r1", true));
    assert_eq!(choose_of(&[other], std::slice::from_ref(&new), &new), None);
    // A run that was aborted, in its first round or later, is skipped.
    let half = run_of("r2", "/nix/store/y", "b", &[("pp128", 10, 1.0)]);
    let mut short = run_of("r2", "/nix/store/y", "b", &[("pp128", 10, 1.0), ("tg32", 4, 1.0)]);
    short.about.least_rounds = Some(5);
    for broken in [half, short] {
        let earlier = [first.clone(), broken];
        assert_eq!(choose_of(&[], &earlier, &new).unwrap().0.about.run, "r1");
    }
}

#[test]
fn saving_replaces_only_comparable_runs() {
    let mut saved = Saved::parse("").unwrap();
    let mut flash = record("r1", "pp128", &[1.0]);
    flash.flags.push("-fa".into());
    saved.save(vec![flash]);
    saved.save(vec![record("r1", "pp128", &[1.0]), record("r1", "tg32", &[1.0])]);
    saved.save(vec![record("r2", "pp128", &[2.0])]);
    let text = serde_json::to_string(&saved).unwrap();
    let runs = Saved::parse(&text).unwrap().runs();
    let names: Vec<_> =
        runs.map(|run| (run.about.run.clone(), run.samples.tests().count())).collect();
    assert_eq!(names, [("r2".into(), 1), ("r1".into(), 1)]);
    assert!(Saved::parse(&text.replace("[2.0]", "[1e300]")).is_err());
    assert!(Saved::parse("<<<<<<< HEAD").is_err());
}
