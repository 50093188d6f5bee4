//! Whether one build is faster than another, from few samples of a noisy machine.
//!
//! Whatever else runs only ever slows a repetition down, often tenfold, and never makes
//! it faster. So the fast end of the samples is where the build is seen and the slow end
//! is where its neighbours are (Chen and Revels, "Robust benchmarking in noisy
//! environments", 2016): a process of llama-bench is told by its fastest repetition,
//! and several processes by the mean of their fastest quarter. The repetitions of one
//! process share its memory layout, its clock frequency and its moment; what can be
//! counted on is the number of processes (Kalibera and Jones, "Rigorous benchmarking
//! in reasonable time", 2013), so it is processes that the bootstrap draws (Efron and
//! Tibshirani, "An introduction to the bootstrap", 1993, chapter 13: percentiles).
//!
//! Held against rank statistics (Hodges-Lehmann with the signed-rank interval) on
//! recorded samples of a busy machine: where half of the processes are disturbed, those
//! find a slow-down of 10 % in a quarter of the cases with 30 rounds, this nearly
//! always; `baseline_tests.rs` holds the error rates.
//!
//! Pure: no I/O, no clock.

use crate::bench::random::SplitMix;

/// Two-sided error of an interval. Small, because a bench judges several tests, and one
/// false alarm too many makes every alarm worthless.
const ALPHA: f64 = 0.01;
/// The share of the processes that are looked at.
const FASTEST: f64 = 0.25;
const RESAMPLES: usize = 2000;

/// How fast one is in terms of the other: 1.1 is ten percent faster.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ratio {
    pub estimate: f64,
    pub low: f64,
    pub high: f64,
}

/// What stands for a process: its fastest repetition.
pub fn best(repetitions: &[f64]) -> Option<f64> {
    let positive = repetitions.iter().copied().filter(|speed| speed.is_finite() && *speed > 0.0);
    positive.max_by(f64::total_cmp)
}

/// What stands for several processes: the mean of the fastest quarter of them.
pub fn speed(processes: &[Vec<f64>]) -> Option<f64> {
    let mut bests: Vec<f64> = processes.iter().filter_map(|process| best(process)).collect();
    (!bests.is_empty()).then(|| fastest(&mut bests))
}

/// Rounds of equal index ran side by side and are drawn together: what slows one slows
/// the other, and drops out. None without a round in which both have a speed.
pub fn paired(base: &[Vec<f64>], new: &[Vec<f64>]) -> Option<Ratio> {
    let pairs = base.iter().zip(new).filter_map(|(base, new)| Some((best(base)?, best(new)?)));
    let (base, new): (Vec<f64>, Vec<f64>) = pairs.unzip();
    ratio(&base, &new, |random, drawn_base, drawn_new| {
        for (drawn_base, drawn_new) in drawn_base.iter_mut().zip(drawn_new) {
            let at = random.below(base.len());
            (*drawn_base, *drawn_new) = (base[at], new[at]);
        }
    })
}

/// The two were measured at different times.
pub fn unpaired(base: &[Vec<f64>], new: &[Vec<f64>]) -> Option<Ratio> {
    let bests = |processes: &[Vec<f64>]| -> Vec<f64> {
        processes.iter().filter_map(|process| best(process)).collect()
    };
    let (base, new) = (bests(base), bests(new));
    ratio(&base, &new, |random, drawn_base, drawn_new| {
        drawn_base.iter_mut().for_each(|drawn| *drawn = base[random.below(base.len())]);
        drawn_new.iter_mut().for_each(|drawn| *drawn = new[random.below(new.len())]);
    })
}

fn ratio(
    base: &[f64],
    new: &[f64],
    draw: impl Fn(&mut SplitMix, &mut [f64], &mut [f64]),
) -> Option<Ratio> {
    if base.is_empty() || new.is_empty() {
        return None;
    }
    let (mut one, mut other) = (base.to_vec(), new.to_vec());
    let estimate = fastest(&mut other) / fastest(&mut one);
    // The same samples give the same answer.
    let mut random = SplitMix(1);
    let mut ratios: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            draw(&mut random, &mut one, &mut other);
            fastest(&mut other) / fastest(&mut one)
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small")]
    let out = (RESAMPLES as f64 * ALPHA / 2.0) as usize;
    Some(Ratio { estimate, low: ratios[out], high: ratios[RESAMPLES - 1 - out] })
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small")]
fn fastest(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(|one, other| other.total_cmp(one));
    let some = ((values.len() as f64 * FASTEST).round() as usize).max(1);
    values[..some].iter().sum::<f64>() / some as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(values: &[f64]) -> Vec<Vec<f64>> {
        values.iter().map(|value| vec![value / 2.0, *value, value / 10.0]).collect()
    }

    #[test]
    fn disturbed_rounds_move_nothing() {
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
    fn what_slows_both_drops_out_of_pairs_alone() {
        let weather: Vec<f64> = (0..10).map(|i| 100.0 * (1.0 + f64::from(i * 7 % 10))).collect();
        let slower: Vec<f64> = weather.iter().map(|speed| speed * 0.95).collect();
        let beside = paired(&rounds(&weather), &rounds(&slower)).unwrap();
        assert!((beside.high - 0.95).abs() < 1e-9 && (beside.low - 0.95).abs() < 1e-9);
        let apart = unpaired(&rounds(&weather), &rounds(&slower)).unwrap();
        assert!(apart.low < 0.9 && apart.high > 1.05, "{apart:?}");
    }

    #[test]
    fn nothing_is_said_of_nothing() {
        assert_eq!(paired(&[], &[]), None);
        assert_eq!(unpaired(&rounds(&[1.0]), &[vec![]]), None);
        assert_eq!(best(&[f64::NAN, 0.0, -1.0]), None);
        assert_eq!(speed(&[vec![1.0, 3.0], vec![2.0]]), Some(3.0));
        assert_eq!(speed(&[]), None);
        let one = paired(&rounds(&[2.0]), &rounds(&[1.0])).unwrap();
        assert!(one.low == 0.5 && one.high == 0.5);
    }

    #[test]
    fn the_interval_holds_the_truth_as_often_as_it_says() {
        // Speeds that are evenly spread over ten percent.
        let mut random = SplitMix(7);
        let mut some = || -> Vec<Vec<f64>> {
            (0..20).map(|_| vec![1000.0 + random.below(100) as f64]).collect()
        };
        let missed = (0..300)
            .filter(|_| {
                let Ratio { low, high, .. } = unpaired(&some(), &some()).unwrap();
                low > 1.0 || high < 1.0
            })
            .count();
        assert!(missed <= 9, "{missed} of 300, and one in a hundred was said");
    }
}
