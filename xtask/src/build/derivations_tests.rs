//! The progress of invented builds, and properties of any progress.

use proptest::prelude::*;

use crate::build::derivations::*;

fn drv(name: &str) -> DrvPath {
    DrvPath::new(format!("/nix/store/hash-{name}.drv"))
}

fn build(name: &str) -> Build {
    Build::example(name, drv(name))
}

fn progress(earlier: &[(&str, f64)]) -> Derivations {
    let builds = [build("a"), build("b")];
    let earlier = earlier
        .iter()
        .map(|(name, seconds)| (drv(name), Expected { seconds: Some(*seconds), needed_by: None }));
    let expected = earlier.chain([(drv("dep"), needed_by(&[0, 1]))]);
    let mut rows = Derivations::default();
    rows.add_variants(&builds.iter().collect::<Vec<_>>());
    rows.add_expected(expected.collect());
    rows
}

fn needed_by(places: &[usize]) -> Expected {
    Expected { seconds: None, needed_by: Some(places.to_vec()) }
}

/// A change of a derivation at a second.
type Change = Box<dyn Fn(&mut Derivations, f64)>;

fn start(name: &'static str) -> Change {
    Box::new(move |rows, now| rows.entry(&drv(name)).begin(String::new(), "", now))
}

fn steps(name: &'static str, done: u32, total: u32) -> Change {
    Box::new(move |rows, now| {
        rows.entry(&drv(name)).advance((done, total), now);
    })
}

fn stop(name: &'static str) -> Change {
    Box::new(move |rows, now| rows.entry(&drv(name)).end(now))
}

#[test]
fn overall_progress_is_weighted_by_time() {
    let mut progress = progress(&[("a", 10.0), ("b", 90.0)]);
    start("a")(&mut progress, 0.0);
    stop("a")(&mut progress, 10.0);
    start("b")(&mut progress, 10.0);
    let at = progress.overall(10.0);
    assert!((at.fraction - 0.1).abs() < 0.01, "{at:?}");
    assert_eq!((at.ended, at.all, at.running), (1, 2, 1));
    assert_eq!(at.remaining, Some(90.0));
    assert!((progress.overall(55.0).fraction - 0.55).abs() < 0.01);
    stop("b")(&mut progress, 100.0);
    assert_eq!(progress.overall(100.0).fraction, 1.0);
    assert_eq!(progress.overall(100.0).remaining, None);
}

#[test]
fn without_a_history_the_estimate_uses_the_steps() {
    let mut progress = progress(&[]);
    start("a")(&mut progress, 0.0);
    start("b")(&mut progress, 0.0);
    assert_eq!(progress.overall(5.0).remaining, None);
    steps("a", 0, 100)(&mut progress, 10.0);
    steps("a", 50, 100)(&mut progress, 60.0);
    let row = progress.get(&drv("a")).unwrap();
    assert_eq!(row.remaining(60.0), Some(50.0));
    let at = progress.overall(60.0);
    assert!(at.remaining.is_some_and(|left| left >= 50.0), "{at:?}");
}

#[test]
fn a_dependency_counts_and_has_the_variants_that_need_it() {
    let mut progress = progress(&[("a", 10.0), ("b", 10.0)]);
    assert!(!progress.is_unattributed(&drv("dep")) && progress.is_unattributed(&drv("other")));
    start("dep")(&mut progress, 0.0);
    assert_eq!(progress.get(&drv("dep")).unwrap().needed_by(), [0, 1]);
    assert_eq!(progress.running_dependencies().count(), 1);
    assert_eq!(progress.overall(1.0).all, 3);
    stop("dep")(&mut progress, 2.0);
    assert_eq!(progress.running_dependencies().count(), 0);
    progress.add_expected([(drv("other"), needed_by(&[1]))].into());
    assert!(!progress.is_unattributed(&drv("other")));
}

#[test]
fn a_machine_is_shown_by_its_host_name() {
    let uri = "ssh-ng://me@builder-a?remote-program=/b/nix&remote-store=local?root%3D/b";
    let on = |machine: &str| Derivation { machine: machine.into(), ..Derivation::default() }.on();
    assert_eq!(on(uri), " on builder-a");
    assert_eq!(on("ssh://box"), " on box");
    assert_eq!(on("localhost"), "");
    assert_eq!(on(""), "");
}

/// Arguments of [`change`].
fn any_change() -> impl Strategy<Value = (usize, &'static str, u32, u32)> {
    (0..6usize, prop::sample::select(vec!["a", "b", "dep", "other"]), 0..50u32, 50..60u32)
}

fn change(
    rows: &mut Derivations,
    (which, name, done, total): (usize, &'static str, u32, u32),
    now: f64,
) {
    match which {
        0 => start(name)(rows, now),
        1 => stop(name)(rows, now),
        2 => rows.entry(&drv(name)).fail(),
        3 => steps(name, done, total)(rows, now),
        4 => rows.entry(&drv(name)).enter("buildPhase"),
        _ => rows.nix_expects = done.into(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn overall_progress_never_decreases(
        changes in prop::collection::vec((any_change(), 0.0..500.0f64), 1..60),
        earlier in prop::option::of(0.0..900.0f64),
    ) {
        let known: Vec<_> = earlier.map(|seconds| ("a", seconds)).into_iter().collect();
        let mut progress = progress(&known);
        let (mut now, mut before) = (0.0, 0.0);
        for (which, later) in changes {
            change(&mut progress, which, now);
            now += later;
            let at = progress.overall(now);
            prop_assert!(at.fraction >= before && at.fraction <= 1.0, "{before} {at:?}");
            prop_assert!(at.ended <= at.all && at.running + at.ended <= at.all, "{at:?}");
            prop_assert!(at.remaining.is_none_or(|left| left.is_finite() && left >= 0.0), "{at:?}");
            before = at.fraction;
        }
    }
}
