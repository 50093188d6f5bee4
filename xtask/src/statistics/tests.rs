//! Tests of the statistics; the error rates are those of simulations with a fixed seed.

use super::*;

fn rounds(values: &[f64]) -> Vec<Vec<f64>> {
    values.iter().map(|value| vec![value / 2.0, *value, value / 10.0]).collect()
}

#[test]
fn disturbed_rounds_do_not_change_the_ratio() {
    let base = rounds(&[100.0; 10]);
    let mut new = rounds(&[90.0; 10]);
    new[3] = vec![1.0, 2.0, 0.5];
    new[7] = vec![f64::NAN, 40.0];
    for ratio in [paired(&base, &new), unpaired(&base, &new)] {
        let Ratio { estimate, low, high } = ratio.unwrap();
        assert!((estimate - 0.9).abs() < 1e-9 && (low, high) == (estimate, estimate));
    }
}

#[test]
fn only_pairs_cancel_a_disturbance_of_both() {
    let disturbed: Vec<f64> = (0..10).map(|i| 100.0 * (1.0 + f64::from(i * 7 % 10))).collect();
    let slower: Vec<f64> = disturbed.iter().map(|speed| speed * 0.95).collect();
    let beside = paired(&rounds(&disturbed), &rounds(&slower)).unwrap();
    assert!((beside.high - 0.95).abs() < 1e-9 && (beside.low - 0.95).abs() < 1e-9);
    let apart = unpaired(&rounds(&disturbed), &rounds(&slower)).unwrap();
    assert!(apart.low < 0.9 && apart.high > 1.05, "{apart:?}");
}

#[test]
fn no_samples_give_no_ratio() {
    assert_eq!(paired(&[], &[]), None);
    assert_eq!(unpaired(&rounds(&[1.0]), &[vec![]]), None);
    assert_eq!(best(&[f64::NAN, 0.0, -1.0]), None);
    assert_eq!(speed(&[vec![1.0, 3.0], vec![2.0]]), Some(3.0));
    assert_eq!(speed(&[]), None);
    let one = paired(&rounds(&[2.0]), &rounds(&[1.0])).unwrap();
    assert!(one.low == 0.5 && one.high == 0.5);
}

#[test]
fn the_interval_contains_the_true_ratio_in_99_of_100_cases() {
    // Speeds that are evenly spread over ten percent.
    let mut random = SplitMix(7);
    let mut some =
        || -> Vec<Vec<f64>> { (0..20).map(|_| vec![1000.0 + random.below(100) as f64]).collect() };
    let missed = (0..300)
        .filter(|_| {
            let Ratio { low, high, .. } = unpaired(&some(), &some()).unwrap();
            low > 1.0 || high < 1.0
        })
        .count();
    assert!(missed <= 9, "{missed} of 300, but one in a hundred is expected");
}

/// A simulated machine with some noise, where another program at times takes up to two thirds.
struct Machine {
    random: SplitMix,
    /// Share of the processes that the other program disturbs.
    disturbed: f64,
}

impl Machine {
    /// Returns a number between 0 and 1.
    fn uniform(&mut self) -> f64 {
        (self.random.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn process(&mut self, speed: f64) -> Vec<f64> {
        let normal = (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0;
        let disturbed = self.uniform() < self.disturbed;
        let slowdown = if disturbed { 1.0 + 2.0 * self.uniform() } else { 1.0 };
        vec![speed * (normal * 0.03).exp() / slowdown]
    }

    /// Runs a sequential test; returns its decision and the number of rounds.
    fn decide(&mut self, speed: f64, limit: f64) -> (Decision, usize) {
        let (mut base, mut new) = (vec![], vec![]);
        for look in LOOKS {
            while base.len() < look {
                base.push(self.process(1.0));
                new.push(self.process(speed));
            }
            let decision = paired(&base, &new).unwrap().compare(limit);
            if decision != Decision::Undecided {
                return (decision, look);
            }
        }
        (Decision::Undecided, base.len())
    }
}

#[test]
fn a_slowdown_is_found_and_no_other_is_reported() {
    const TIMES: usize = 60;
    // The limit is half of the loss, as in a bisection.
    for (loss, disturbed) in [(0.25, 0.0), (0.25, 0.3), (0.1, 0.1), (0.1, 0.3)] {
        let mut machine = Machine { random: SplitMix(42), disturbed };
        let limit = 1.0 - loss / 2.0;
        for (speed, right) in [(1.0 - loss, Decision::Slower), (1.0, Decision::NotSlower)] {
            let all: Vec<_> = (0..TIMES).map(|_| machine.decide(speed, limit)).collect();
            let found = all.iter().filter(|(decision, _)| *decision == right).count();
            let undecided =
                all.iter().filter(|(decision, _)| *decision == Decision::Undecided).count();
            assert!(found + undecided == TIMES, "{loss} {disturbed} {speed}: {all:?}");
            assert!(found >= TIMES - 2, "{loss} {disturbed} {speed}: {found} of {TIMES}");
            let rounds: usize = all.iter().map(|(_, rounds)| rounds).sum();
            assert!(rounds <= 18 * TIMES, "{loss} {disturbed} {speed}: {rounds}");
        }
    }
}

/// `bench` accepts the minimum number of processes.
#[test]
fn equal_builds_are_rarely_slower_after_the_fewest_processes() {
    let mut machine = Machine { random: SplitMix(3), disturbed: 0.3 };
    let mut is_slower = || {
        let mut run = || (0..MIN_PROCESSES).map(|_| machine.process(1.0)).collect::<Vec<_>>();
        paired(&run(), &run()).unwrap().compare(0.99) == Decision::Slower
    };
    let slower = (0..200).filter(|_| is_slower()).count();
    assert!(slower <= 4, "{slower} of 200");
}

#[test]
fn a_machine_that_slows_down_does_not_change_the_ratio() {
    for seed in 0..20 {
        let mut orders = random::Orders::new(seed, 2);
        let mut runs = [vec![], vec![]];
        let mut machine = 1.0;
        for _ in 0..8 {
            for build in orders.draw() {
                runs[*build].push(vec![machine * [1.0, 0.98][*build]]);
                machine -= 0.01;
            }
        }
        let ratio = paired(&runs[0], &runs[1]).unwrap().estimate;
        assert!((ratio - 0.98).abs() < 0.001, "{seed}: {ratio}");
    }
}

#[test]
fn a_speed_at_the_limit_is_mostly_undecided() {
    let mut machine = Machine { random: SplitMix(42), disturbed: 0.3 };
    let undecided = (0..40).filter(|_| machine.decide(0.95, 0.95).0 == Decision::Undecided).count();
    assert!(undecided >= 32, "{undecided} of 40");
}

#[test]
fn a_bisection_is_rarely_wrong() {
    use crate::pin::bisect::search::{Answer, Next, Search, Verdict};
    let mut machine = Machine { random: SplitMix(7), disturbed: 0.2 };
    let (mut wrong, mut open) = (0, 0);
    for first in (1..33).step_by(2).cycle().take(64) {
        let mut search = Search::new(33);
        search.record(0, Verdict::Good);
        let answer = loop {
            let at = match search.next() {
                Next::Done(answer) => break answer,
                Next::Judge(at) => at,
            };
            let verdict = match machine.decide(if at < first { 1.0 } else { 0.75 }, 0.875).0 {
                Decision::Slower => Verdict::Bad,
                Decision::NotSlower => Verdict::Good,
                Decision::Undecided => Verdict::Inconclusive,
            };
            search.record(at, verdict);
        };
        match answer {
            Answer::First { bad, .. } => wrong += u32::from(bad != first),
            Answer::OneOf { good, bad } => {
                wrong += u32::from(!(good < first && first <= bad));
                open += 1;
            }
            _ => open += 1,
        }
    }
    assert!(wrong <= 1 && open <= 2, "{wrong} wrong and {open} open of 64");
}

#[test]
fn median_is_the_middle_value() {
    assert_eq!(median([]), None);
    assert_eq!(median([3.0]), Some(3.0));
    assert_eq!(median([9.0, 1.0, 2.0]), Some(2.0));
    assert_eq!(median([4.0, 1.0, 2.0, 100.0]), Some(3.0));
}

#[test]
fn a_ratio_is_printed_as_a_loss_or_a_gain() {
    let ratio = |estimate, low, high| Ratio { estimate, low, high };
    assert_eq!(ratio(0.75, 0.7, 0.8).to_string(), "25.0 % slower (20.0 to 30.0)");
    assert_eq!(ratio(1.25, 1.0, 1.5).to_string(), "25.0 % faster (0.0 to 50.0)");
    assert_eq!(ratio(0.8, 0.7, 0.9).half_of_loss(), Some(0.9));
    assert_eq!(ratio(0.8, 0.7, 1.1).half_of_loss(), None);
}
