//! Tests of sweeps over recorded samples of a machine in use, with a simulated best point: how often
//! it is found.

use crate::bench::sweep::report::{best, frontier, within_noise};
use crate::bench::sweep::search::*;

const RECORDED: &str = include_str!("../../../tests/fixtures/llama-bench/repeated.txt");

/// Returns the recorded processes of one build: pp128 and tg32.
fn recorded(name: &str, revision: &str) -> Vec<[Vec<f64>; 2]> {
    let lines = RECORDED.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let numbers = |text: &str| text.split(',').map(|n| n.parse().unwrap()).collect();
    lines
        .filter(|words| words[0] == name && words[1] == revision)
        .map(|words| [numbers(words[2]), numbers(words[3])])
        .collect()
}

fn result(test: &str, samples: Vec<f64>) -> TestResult {
    TestResult::of(test, &samples)
}

/// A simulated machine on which a point's prompt and generation speeds are `shares` times the recorded
/// ones, one process after another from index `now`.
struct Machine<'a> {
    recording: &'a [[Vec<f64>; 2]],
    now: usize,
    shares: &'a [[f64; 2]],
}

impl Machine<'_> {
    fn run(&mut self, turn: NextRun) -> CompletedRun {
        let [pp, tg] = &self.recording[self.now % self.recording.len()];
        self.now += 1;
        let [prompt, generation] = self.shares[turn.point];
        let some = |samples: &[f64], by: f64| -> Vec<f64> {
            samples.iter().take(turn.repetitions as usize).map(|speed| speed * by).collect()
        };
        let tests = vec![result("pp128", some(pp, prompt)), result("tg32", some(tg, generation))];
        // Loading and warm-up, and the repetitions.
        let seconds = 0.4 + 0.2 * f64::from(turn.repetitions);
        CompletedRun { point: turn.point, round: turn.round, seconds, outcome: Ok(tests) }
    }

    fn sweep(&mut self, plan: &Plan) -> (SweepState, Vec<CompletedRun>) {
        let mut ran = vec![];
        while let Some(turn) = plan.state(&ran).next {
            ran.push(self.run(turn));
        }
        (plan.state(&ran), ran)
    }
}

fn plan(points: usize, budget: Option<f64>, seed: u64) -> Plan {
    Plan { points, rounds: 10, repetitions: 5, budget, seed, goal: Goal::Both }
}

/// Returns twelve points, one of which is faster than the next best by `ahead` percent.
fn with_best_point(ahead: f64, random: &mut SplitMix) -> (usize, Vec<[f64; 2]>) {
    let mut shares: Vec<f64> = (0..11).map(|n| 1.0 - 0.02 * f64::from(n)).collect();
    shares.push(1.0 + ahead / 100.0);
    random.shuffle(&mut shares);
    let top = shares.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap().0;
    (top, shares.into_iter().map(|share| [share, share]).collect())
}

struct Rates {
    best: usize,
    within: usize,
    /// Number of other points within noise, over all sweeps.
    others: usize,
}

fn rates(recording: &str, ahead: f64, budget: Option<f64>, times: u64) -> Rates {
    let mut random = SplitMix(7);
    let mut rates = Rates { best: 0, within: 0, others: 0 };
    for seed in 0..times {
        let recorded = recorded(recording, if seed % 2 == 0 { "old" } else { "new" });
        let (top, shares) = with_best_point(ahead, &mut random);
        let now = random.below(recorded.len());
        let mut machine = Machine { recording: &recorded, now, shares: &shares };
        let (state, _) = machine.sweep(&plan(12, budget, seed));
        let found = best(&state);
        let near = within_noise(&state, found);
        assert!(near.contains(&found.unwrap()));
        rates.best += usize::from(found == Some(top));
        rates.within += usize::from(near.contains(&top));
        rates.others += near.iter().filter(|point| **point != top).count();
    }
    rates
}

#[test]
fn the_best_point_is_found_in_20_of_20_sweeps() {
    for budget in [None, Some(60.0)] {
        let Rates { best, within, .. } = rates("bursts", 10.0, budget, 20);
        assert_eq!(within, 20, "{budget:?}");
        assert!(best >= 19, "{budget:?}: {best}");
    }
}

/// The table of docs/performance.md: `cargo test --release --bin xtask -- --ignored
/// --nocapture sweep_error_rates`.
#[test]
#[ignore = "thousands of simulations take minutes without --release"]
fn sweep_error_rates() {
    const TIMES: u64 = 500;
    for recording in ["bursts", "busy"] {
        for (budget, named) in [(None, "grid"), (Some(60.0), "60 s"), (Some(30.0), "30 s")] {
            for ahead in [2.0, 5.0, 10.0] {
                let Rates { best, within, others } = rates(recording, ahead, budget, TIMES);
                let share = |n: usize| n as f64 * 100.0 / TIMES as f64;
                eprintln!(
                    "{recording:>6} {named:>5} {ahead:>4} % ahead: best {:.1} %, within noise {:.1} %, \
                     others within noise {:.1} of 11",
                    share(best),
                    share(within),
                    others as f64 / TIMES as f64
                );
            }
        }
    }
}

/// Runs a sweep without noise.
fn quiet(shares: &[[f64; 2]], plan: &Plan) -> (SweepState, Vec<CompletedRun>) {
    let recording = vec![[vec![1000.0; 5], vec![100.0; 5]]];
    Machine { recording: &recording, now: 0, shares }.sweep(plan)
}

#[test]
fn every_round_has_every_point_once_in_random_order() {
    let shares = [[1.0, 1.0]; 6];
    let (state, ran) = quiet(&shares, &plan(6, None, 3));
    assert_eq!((ran.len(), state.alive), (60, 6));
    let rounds: Vec<Vec<usize>> =
        ran.chunks(6).map(|round| round.iter().map(|ran| ran.point).collect()).collect();
    for round in &rounds {
        let mut sorted = round.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, [0, 1, 2, 3, 4, 5]);
    }
    assert!(rounds.windows(2).any(|pair| pair[0] != pair[1]));
    assert_eq!(quiet(&shares, &plan(6, None, 3)).1, ran, "the same seed, the same order");
    assert_ne!(quiet(&shares, &plan(6, None, 4)).1, ran);
}

#[test]
fn a_killed_sweep_is_resumed() {
    let shares: Vec<[f64; 2]> = (0..12).map(|n| [1.0 + f64::from(n) / 100.0, 1.0]).collect();
    for budget in [None, Some(40.0)] {
        let plan = plan(12, budget, 5);
        let (_, whole) = quiet(&shares, &plan);
        for cut in [0, 1, 11, 12, 13, whole.len() / 2, whole.len() - 1] {
            let recording = vec![[vec![1000.0; 5], vec![100.0; 5]]];
            let mut machine = Machine { recording: &recording, now: cut, shares: &shares };
            let mut ran = whole[..cut].to_vec();
            while let Some(turn) = plan.state(&ran).next {
                ran.push(machine.run(turn));
            }
            assert_eq!(ran, whole, "{cut}");
        }
        // After a lost line in the middle, its point runs again.
        let mut ran = whole.clone();
        ran.remove(3);
        let lost = plan.state(&ran);
        assert!(lost.next.is_some_and(|turn| turn.point == whole[3].point));
    }
}

#[test]
fn halving_keeps_the_best_and_both_ends_of_the_frontier() {
    let mut shares: Vec<[f64; 2]> = (0..30).map(|n| [1.0 - f64::from(n) / 100.0; 2]).collect();
    shares.push([3.0, 0.1]);
    shares.push([0.1, 3.0]);
    let plan = plan(32, Some(200.0), 1);
    let (state, ran) = quiet(&shares, &plan);
    assert_eq!(best(&state), Some(0));
    let frontier = frontier(&state);
    assert_eq!(frontier, [0, 30, 31]);
    let spent: f64 = ran.iter().map(|ran| ran.seconds).sum();
    assert!(spent > 100.0 && spent <= 201.4, "{spent}");
    let rounds = |point: usize| state.points[point].scores.len();
    assert!(rounds(0) > rounds(29), "{} and {}", rounds(0), rounds(29));
    assert_eq!(ran[0].outcome.as_ref().unwrap()[0].samples.len(), 1, "short runs first");
    assert_eq!(ran.last().unwrap().outcome.as_ref().unwrap()[0].samples.len(), 5);
}

#[test]
fn a_point_that_fails_does_not_run_again() {
    for broken in [vec![1], vec![0, 1, 2]] {
        let plan = plan(3, None, 9);
        let recording = vec![[vec![1000.0; 5], vec![100.0; 5]]];
        let shares = [[1.0, 1.0]; 3];
        let mut machine = Machine { recording: &recording, now: 0, shares: &shares };
        let mut ran = vec![];
        while let Some(turn) = plan.state(&ran).next {
            let mut one = machine.run(turn);
            // It fails in the second round only.
            if broken.contains(&turn.point) && turn.round == 2 {
                one.outcome = Err("out of memory".to_owned());
            }
            ran.push(one);
        }
        let state = plan.state(&ran);
        for (at, known) in state.points.iter().enumerate() {
            let rounds = if broken.contains(&at) { 1 } else { 10 };
            assert_eq!(known.scores.len(), rounds, "{at}");
        }
        assert_eq!(best(&state).is_some(), broken.len() < 3);
    }
}

#[test]
fn the_goal_decides_what_is_best() {
    let shares = [[2.0, 1.0], [1.0, 3.0], [1.5, 1.5]];
    for (goal, wanted) in [(Goal::Prompt, 0), (Goal::Generation, 1), (Goal::Both, 1)] {
        let (state, _) = quiet(&shares, &Plan { goal, ..plan(3, None, 1) });
        assert_eq!(best(&state), Some(wanted), "{goal:?}");
        assert_eq!(within_noise(&state, Some(wanted)), [wanted]);
        assert_eq!(frontier(&state), [0, 1, 2]);
    }
    assert_eq!(best(&plan(3, None, 1).state(&[])), None);
}
