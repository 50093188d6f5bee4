//! The tracker with invented events, recorded logs, and random events.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::build::tracker::*;
use crate::build::variants::short_name;
use crate::nix::log::{Transfer, parse};

fn drv(name: &str) -> DrvPath {
    DrvPath::new(format!("/nix/store/{name}.drv"))
}

fn started(id: u64, name: &str) -> Event {
    Event::BuildStarted { id, drv: drv(name), machine: String::new() }
}

fn printed(id: u64, line: &str) -> Event {
    Event::LogLine { id, line: line.to_owned() }
}

fn progress(done: u64, running: u64, failed: u64) -> Event {
    Event::Progress { id: 7, done, expected: 9, running, failed }
}

fn stopped(name: &str) -> Update {
    Update::Stopped { drv: drv(name) }
}

/// Returns the ends of builds among some updates.
fn ends(updates: Vec<Update>) -> Vec<String> {
    let end = |update| match update {
        Update::Stopped { drv } => Some(format!("stopped {drv}")),
        Update::Failed { drv, tail } => Some(format!("failed {drv} {tail:?}")),
        _ => None,
    };
    updates.into_iter().filter_map(end).map(|text| text.replace("/nix/store/", "")).collect()
}

fn failed_of(tracker: &Tracker) -> Vec<DrvPath> {
    let rows = tracker.derivations.iter().filter(|(_, row)| row.stage == Stage::Failed);
    rows.map(|(drv, _)| drv.clone()).collect()
}

const NOTHING: &dyn Fn(&DrvPath) -> bool = &|_| false;

/// A tracker of builds a, b, c with activities 1, 2, 3, all running.
fn running() -> Tracker {
    let mut tracker = Tracker::default();
    tracker.follow(Event::BuildsStarted { id: 7 }, NOTHING);
    for (id, name) in [(1, "a"), (2, "b"), (3, "c")] {
        tracker.follow(started(id, name), NOTHING);
        tracker.follow(progress(0, id, 0), NOTHING);
    }
    tracker
}

#[test]
fn a_nested_remote_build_starts_and_stops_once() {
    let mut tracker = Tracker::default();
    assert_eq!(tracker.follow(started(1, "a"), NOTHING).len(), 1);
    assert_eq!(tracker.follow(started(2, "a"), NOTHING), []);
    let line = Update::Line { drv: drv("a"), line: "x".into() };
    assert_eq!(tracker.follow(printed(2, "x"), NOTHING), [line]);
    assert_eq!(tracker.follow(Event::Stopped { id: 2 }, NOTHING), []);
    assert_eq!(tracker.follow(Event::Stopped { id: 1 }, NOTHING), [stopped("a")]);
}

#[test]
fn a_build_ends_when_its_outputs_are_there_and_only_once() {
    let mut tracker = running();
    let there = |path: &DrvPath| *path == drv("b");
    assert_eq!(ends(tracker.follow(progress(1, 2, 0), &there)), ["stopped b.drv"]);
    assert_eq!(ends(tracker.follow(progress(1, 2, 0), &there)), [""; 0]);
    assert_eq!(tracker.follow(Event::Stopped { id: 2 }, &there), []);
}

#[test]
fn an_existing_output_does_not_end_a_build_that_still_prints() {
    // Without a sandbox a build writes into its output long before it ends.
    let mut tracker = running();
    let there = |path: &DrvPath| *path != drv("c");
    assert_eq!(ends(tracker.follow(progress(1, 2, 0), &there)), [""; 0]);
    assert_eq!(ends(tracker.follow(printed(3, "x"), &there)), [""; 0]);
    assert_eq!(ends(tracker.follow(printed(1, "x"), &there)), ["stopped b.drv"]);
}

/// Each process counts its own builds: its reports end no build of the other.
#[test]
fn two_processes_at_once_share_the_records() {
    let (mut tracker, mut other) = (running(), Process::default());
    assert_eq!(tracker.derivations.overall(0.0).all, 9);
    tracker.swap_process(&mut other);
    tracker.follow(Event::BuildsStarted { id: 70 }, NOTHING);
    tracker.follow(started(10, "d"), NOTHING);
    let report =
        |done, expected, running| Event::Progress { id: 70, done, expected, running, failed: 0 };
    let there = |drv_of: &DrvPath| [drv("a"), drv("d")].contains(drv_of);
    tracker.follow(report(0, 2, 1), &there);
    assert_eq!(tracker.derivations.overall(0.0).all, 11);
    assert_eq!(ends(tracker.follow(report(1, 2, 0), &there)), ["stopped d.drv"]);
    tracker.swap_process(&mut other);
    assert_eq!(ends(tracker.follow(progress(1, 2, 0), &there)), ["stopped a.drv"]);
    let at = tracker.derivations.overall(0.0);
    assert_eq!((at.ended, at.running, at.all), (2, 2, 11));
}

#[test]
fn the_failed_build_is_known_once_all_others_have_printed() {
    let mut tracker = running();
    tracker.follow(printed(2, "error: planted"), NOTHING);
    assert_eq!(ends(tracker.follow(progress(0, 2, 1), NOTHING)), [""; 0]);
    assert_eq!(ends(tracker.follow(printed(1, "x"), NOTHING)), [""; 0]);
    let failed = ["stopped b.drv", r#"failed b.drv ["error: planted"]"#];
    assert_eq!(ends(tracker.follow(printed(3, "x"), NOTHING)), failed);
    // Nix's message at its end changes nothing.
    let message = Event::Message {
        level: 0,
        text: "error: builder for '/nix/store/b.drv' failed with exit code 1".into(),
    };
    assert_eq!(ends(tracker.follow(message, NOTHING)), [""; 0]);
    assert_eq!(failed_of(&tracker), [drv("b")]);
}

#[test]
fn a_failure_before_the_build_began_is_not_attributed_to_a_running_one() {
    let mut tracker = running();
    for _ in 0..3 {
        assert_eq!(ends(tracker.follow(progress(0, 3, 1), NOTHING)), [""; 0]);
        assert_eq!(ends(tracker.follow(printed(1, "x"), NOTHING)), [""; 0]);
    }
}

#[test]
fn newer_nix_names_the_build_that_ended() {
    let mut tracker = running();
    tracker.follow(progress(0, 2, 1), NOTHING);
    let failed = ["stopped c.drv", "failed c.drv []"];
    assert_eq!(ends(tracker.follow(Event::Stopped { id: 3 }, NOTHING)), failed);
    tracker.follow(progress(1, 1, 1), NOTHING);
    assert_eq!(ends(tracker.follow(Event::Stopped { id: 1 }, NOTHING)), ["stopped a.drv"]);
}

#[test]
fn a_build_with_its_output_has_not_failed() {
    // Nix 2.26 prints all `stop`s together at the end.
    let mut tracker = running();
    let there = |path: &DrvPath| *path != drv("b");
    tracker.follow(progress(0, 3, 0), &there);
    tracker.follow(progress(2, 0, 1), &there);
    let mut printed = vec![];
    for id in [3, 2, 1] {
        printed.extend(ends(tracker.follow(Event::Stopped { id }, &there)));
    }
    assert_eq!(printed, [""; 0], "all was known before");
    assert_eq!(failed_of(&tracker), [drv("b")]);
}

#[test]
fn a_failure_is_attributed_to_the_build_that_nix_names() {
    let mut tracker = running();
    let mut say =
        |text: &str| ends(tracker.follow(Event::Message { level: 0, text: text.into() }, NOTHING));
    assert_eq!(say("error: builder for '/nix/store/z.drv' failed"), [""; 0]);
    assert_eq!(say("error: 1 dependencies of derivation '/nix/store/a.drv' failed"), [""; 0]);
    let quoted = "Cannot build '/nix/store/z.drv'. Last 3 log lines: > '/nix/store/a.drv'";
    assert_eq!(say(quoted), [""; 0]);
    let planted = "error: builder for '/nix/store/a.drv' failed with exit code 1";
    assert_eq!(say(planted), ["stopped a.drv", "failed a.drv []"]);
    assert_eq!(say(planted), [""; 0]);
}

#[test]
fn a_retried_build_starts_again() {
    let mut tracker = Tracker::default();
    tracker.follow(started(1, "a"), NOTHING);
    tracker.follow(printed(1, "[5/9] x"), NOTHING);
    tracker.follow(Event::Stopped { id: 1 }, NOTHING);
    assert_eq!(tracker.follow(started(9, "a"), NOTHING).len(), 1);
    assert!(tracker.follow(printed(9, "[1/9] x"), NOTHING).len() > 1);
    assert_eq!(ends(tracker.follow(Event::Stopped { id: 9 }, NOTHING)), ["stopped a.drv"]);
}

#[test]
fn a_fraction_never_runs_backwards() {
    let mut tracker = Tracker::default();
    tracker.follow(started(1, "a"), NOTHING);
    let mut at = |line: &str| {
        let updates = tracker.follow(printed(1, line), NOTHING);
        updates.into_iter().find_map(|update| match update {
            Update::Fraction { done, total, .. } => Some((done, total)),
            _ => None,
        })
    };
    assert_eq!(at("[2/2] Building an aside"), Some((2, 2)));
    assert_eq!(at("[1/100] Building a"), Some((1, 100)));
    assert_eq!(at("[5/7] Building a shader"), None);
    assert_eq!(at("[2/100] Building b"), Some((2, 100)));
    assert_eq!(at("[2/100] Building b"), None);
    assert_eq!(at("[3/200] Building more"), None);
    assert_eq!(at("[5/200] Building more"), Some((5, 200)));
    assert_eq!(at("[ 55%] Building"), None);
    assert_eq!(at("[9/3] nonsense"), None);
}

#[test]
fn control_characters_of_a_build_do_not_reach_the_terminal() {
    let mut tracker = Tracker::default();
    tracker.follow(started(1, "a"), NOTHING);
    let line = Update::Line { drv: drv("a"), line: "ab".into() };
    assert_eq!(tracker.follow(printed(1, "\x1b[2Ja\rb"), NOTHING), [line]);
}

/// How often a build of a log started, stopped and failed, and its number of lines.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    started: u32,
    stopped: u32,
    failed: u32,
    lines: u32,
}

/// Follows a log, and checks the properties of every log.
fn follow(lines: impl Iterator<Item = Event>) -> BTreeMap<String, Counts> {
    let mut tracker = Tracker::default();
    let mut builds: BTreeMap<String, Counts> = BTreeMap::new();
    let mut fetched = (0, 0);
    for event in lines {
        for update in tracker.follow(event, NOTHING) {
            let name = |drv: &DrvPath| short_name(drv.as_str()).to_owned();
            match update {
                Update::Started { drv, .. } => {
                    let build = builds.entry(name(&drv)).or_default();
                    build.started += 1;
                    assert!(build.started == build.stopped + 1, "{drv} starts while it runs");
                }
                Update::Stopped { drv } => {
                    let build = builds.entry(name(&drv)).or_default();
                    build.stopped += 1;
                    assert!(build.stopped <= build.started, "{drv} stops more than it starts");
                }
                Update::Failed { drv, .. } => {
                    let build = builds.entry(name(&drv)).or_default();
                    build.failed += 1;
                    assert_eq!(build.started, build.stopped, "{drv} failed but still runs");
                }
                Update::Line { drv, .. } => builds.entry(name(&drv)).or_default().lines += 1,
                Update::Fetched { bytes, of } => {
                    assert!(bytes >= fetched.0 && of >= fetched.1 && bytes <= of);
                    fetched = (bytes, of);
                }
                _ => {}
            }
        }
    }
    builds
}

macro_rules! recorded {
    ($name:literal) => {
        ($name, include_str!(concat!("../../tests/fixtures/nix-log/", $name)))
    };
}

const BUILDS: [(&str, &str); 4] = [
    recorded!("local-2.26"),
    recorded!("local-2.34"),
    recorded!("remote-2.26"),
    recorded!("remote-2.34"),
];
const FETCHES: [(&str, &str); 2] = [recorded!("fetch-2.26"), recorded!("fetch-2.34")];

/// Parses a recording, in which each line follows its second and a tab.
fn events(log: &str) -> impl Iterator<Item = Event> {
    log.lines().map(|line| parse(line.split_once('\t').map_or(line, |(_, line)| line).as_bytes()))
}

#[test]
fn local_and_remote_builds_of_old_and_new_nix_have_the_same_counts() {
    for (name, log) in BUILDS {
        let counts = |failed, lines| Counts { started: 1, stopped: 1, failed, lines };
        let expected = [
            ("broken-dependency-0.1", counts(1, 1)),
            ("llama-cpp-cpu-good-1", counts(0, 8)),
            ("llama-cpp-cpu-planted-1", counts(1, 2)),
            ("llama-cpp-cpu-slow-1", counts(0, 12)),
            ("shared-dependency-1.2", counts(0, 4)),
        ];
        let expected = expected.into_iter().map(|(name, counts)| (name.to_owned(), counts));
        assert_eq!(follow(events(log)), expected.collect(), "{name}");
    }
}

#[test]
fn a_failed_dependency_is_reported_when_it_fails() {
    // Nix 2.26 prints its `stop` at the very end, but the message immediately.
    for (name, log) in BUILDS {
        let mut tracker = Tracker::default();
        let mut order = vec![];
        for event in events(log) {
            order.extend(ends(tracker.follow(event, NOTHING)));
        }
        let at = |what: &str| order.iter().position(|printed| printed.contains(what)).unwrap();
        assert!(at("failed") < at("stopped") + 2, "{name}: {order:#?}");
        assert!(
            order.iter().any(|printed| printed.contains(r#"planted-1.drv ["[1/9] cc", "x.c:3:"#)),
            "{name}: {order:#?}"
        );
        let broken = order.iter().position(|s| s.contains("failed") && s.contains("broken"));
        let good = order.iter().position(|s| s.contains("good-1"));
        assert!(broken < good, "{name}: {order:#?}");
    }
}

#[test]
fn fetched_bytes_are_reported() {
    for (name, log) in FETCHES {
        let mut tracker = Tracker::default();
        let all = events(log).flat_map(|event| tracker.follow(event, NOTHING));
        let fetched: Vec<_> = all
            .filter_map(|update| match update {
                Update::Fetched { bytes, of } => Some((bytes, of)),
                _ => None,
            })
            .collect();
        assert_eq!(fetched.last(), Some(&(15_001_165, 15_001_165)), "{name}");
        assert!(fetched.len() > 20, "{name}: {}", fetched.len());
    }
}

/// Random events of a few builds.
fn any_event() -> impl Strategy<Value = Event> {
    let id = 0..8u64;
    let name = prop::sample::select(vec!["a", "b", "c"]);
    prop_oneof![
        (id.clone(), name.clone()).prop_map(|(id, name)| started(id, name)),
        id.clone().prop_map(|id| Event::Stopped { id }),
        id.clone().prop_map(|id| Event::BuildsStarted { id }),
        (id.clone(), 0..5u64, 0..5u64, 0..5u64, 0..5u64).prop_map(
            |(id, done, expected, running, failed)| Event::Progress {
                id,
                done,
                expected,
                running,
                failed
            }
        ),
        (id.clone(), 0..9u32, 1..9u32)
            .prop_map(|(id, done, total)| printed(id, &format!("[{done}/{total}] x"))),
        (id.clone(), any::<String>()).prop_map(|(id, line)| printed(id, &line)),
        id.clone().prop_map(|id| Event::Phase { id, phase: "buildPhase".into() }),
        (id.clone(), id.clone()).prop_map(|(id, parent)| Event::TransferStarted {
            id,
            parent,
            kind: Transfer::Copy
        }),
        id.clone().prop_map(|id| Event::SubstituteStarted { id, path: StorePath::new("/p") }),
        (id, 0..99u64).prop_map(|(id, bytes)| Event::Expected {
            id,
            kind: Transfer::Download,
            bytes
        }),
        name.prop_map(|name| Event::Message {
            level: 0,
            text: format!("builder for '{}' failed", drv(name))
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_order_of_events_makes_a_build_end_twice(
        events in prop::collection::vec(any_event(), 0..60),
    ) {
        follow(events.into_iter());
    }

    #[test]
    fn a_recorded_log_with_damage_does_no_harm(
        seed in any::<u64>(), (_, log) in prop::sample::select(BUILDS.to_vec()),
    ) {
        // Omits, repeats and cuts random lines.
        let mut state = seed | 1;
        let mut next = || { state ^= state << 13; state ^= state >> 7; state ^= state << 17; state };
        let damaged = log.lines().flat_map(|line| {
            let line = line.split_once('\t').map_or(line, |(_, line)| line).as_bytes();
            match next() % 10 {
                0 => vec![],
                1 => vec![parse(line), parse(line)],
                2 => vec![parse(&line[..line.len() / 2])],
                _ => vec![parse(line)],
            }
        });
        follow(damaged);
    }
}
