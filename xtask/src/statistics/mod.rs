//! Statistics: whether one build is faster than another, from few samples of a noisy
//! machine. One method for `bench`, `update --bench`, `bisect --by bench` and `--sweep`.
//!
//! Other programs only ever slow a repetition down, often tenfold, and never make it faster.
//! So the fastest samples show the build, and the slowest show the other programs (Chen and
//! Revels, "Robust benchmarking in noisy environments", 2016). The speed of one llama-bench
//! process is that of its fastest repetition; the speed of several is the mean of the fastest
//! quarter of them. The repetitions of a process share its memory layout, its clock frequency
//! and its start time, so precision depends on the number of processes (Kalibera and Jones,
//! "Rigorous benchmarking in reasonable time", 2013), and the bootstrap resamples processes
//! (Efron and Tibshirani, "An introduction to the bootstrap", 1993, chapter 13: percentiles).
//!
//! This method was compared with rank statistics, in simulations and on recorded samples.
//! Where another program disturbs three of ten processes, the sign test's interval around the
//! median ratio, evaluated at the same [`LOOKS`], finds a slowdown of 10 % in 71 % of the
//! searches; this method finds it in all of them, after a third of the rounds. The sign test
//! is better only beside compilers, where four of five repetitions are disturbed (95 % against
//! 74 %). The tests assert the error rates.
//!
//! Entry points: `median`, `paired`, `unpaired`, `Ratio::compare`.
//!
//! Imports: nothing.
//!
//! Pure: no I/O, no clock.

pub mod random;

use crate::statistics::random::SplitMix;

/// Two-sided error rate of an interval. It is small because a bench judges several tests, and
/// false alarms teach users to ignore real ones.
const ALPHA: f64 = 0.01;
/// Share of the processes whose mean is the speed.
const FASTEST: f64 = 0.25;
const RESAMPLES: usize = 2000;

/// Numbers of rounds after which a sequential test evaluates its samples; the last one ends it.
/// They are few because each evaluation is another chance of a wrong decision.
pub const LOOKS: [usize; 6] = [8, 12, 18, 27, 40, 60];

/// Speed of one build divided by that of another (1.1 is 10 % faster), with its confidence
/// interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ratio {
    pub estimate: f64,
    pub low: f64,
    pub high: f64,
}

/// Result of comparing a [`Ratio`] with a limit, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Decision {
    Slower,
    /// The interval contains the limit: more rounds may decide.
    Undecided,
    NotSlower,
}

impl Ratio {
    /// Compares the interval with `limit`, below which a build counts as slower.
    pub fn compare(&self, limit: f64) -> Decision {
        if self.high < limit {
            Decision::Slower
        } else if self.low > limit {
            Decision::NotSlower
        } else {
            Decision::Undecided
        }
    }

    /// Returns the limit for a bisection whose bad end has this ratio: half of the loss. None
    /// if the interval includes 1.
    pub fn half_of_loss(&self) -> Option<f64> {
        (self.high < 1.0).then(|| f64::midpoint(1.0, self.estimate))
    }
}

/// `24.8 % slower (22.1 to 26.9)`
impl std::fmt::Display for Ratio {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let percent = |ratio: f64| (1.0 - ratio) * 100.0;
        let (low, high) = (percent(self.high), percent(self.low));
        match percent(self.estimate) {
            slower if slower >= 0.0 => write!(f, "{slower:.1} % slower ({low:.1} to {high:.1})"),
            faster => write!(f, "{:.1} % faster ({:.1} to {:.1})", -faster, 0.0 - high, 0.0 - low),
        }
    }
}

/// Minimum number of processes for a 99 % interval. One of two equal builds wins all of five rounds
/// in one of 16 runs, and all of eight rounds in one of 128.
pub const MIN_PROCESSES: usize = 8;

/// Whether both builds have enough processes for an interval.
pub fn is_enough(processes: [usize; 2]) -> bool {
    processes.iter().all(|processes| *processes >= MIN_PROCESSES)
}

/// Returns the median; the mean of the two middle values if their number is even.
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        n if n % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// Returns the speed of a process: its fastest repetition.
pub fn best(repetitions: &[f64]) -> Option<f64> {
    let positive = repetitions.iter().copied().filter(|speed| speed.is_finite() && *speed > 0.0);
    positive.max_by(f64::total_cmp)
}

/// Returns the speed of several processes: the mean of the fastest quarter.
pub fn speed(processes: &[Vec<f64>]) -> Option<f64> {
    let mut speeds = speeds(processes);
    (!speeds.is_empty()).then(|| fastest(&mut speeds))
}

fn speeds(processes: &[Vec<f64>]) -> Vec<f64> {
    processes.iter().filter_map(|process| best(process)).collect()
}

/// Compares builds that ran in turns. Processes of the same round are resampled together, so
/// that a disturbance of both cancels out. None if there is no round in which both have a speed.
pub fn paired(base: &[Vec<f64>], new: &[Vec<f64>]) -> Option<Ratio> {
    let pairs = base.iter().zip(new).filter_map(|(base, new)| Some((best(base)?, best(new)?)));
    let (base, new): (Vec<f64>, Vec<f64>) = pairs.unzip();
    ratio(&base, &new, |random, drawn_base, drawn_new| {
        for (drawn_base, drawn_new) in drawn_base.iter_mut().zip(drawn_new) {
            let round = random.below(base.len());
            (*drawn_base, *drawn_new) = (base[round], new[round]);
        }
    })
}

/// Compares builds that were measured at different times.
pub fn unpaired(base: &[Vec<f64>], new: &[Vec<f64>]) -> Option<Ratio> {
    let (base, new) = (speeds(base), speeds(new));
    ratio(&base, &new, |random, drawn_base, drawn_new| {
        drawn_base.iter_mut().for_each(|drawn| *drawn = base[random.below(base.len())]);
        drawn_new.iter_mut().for_each(|drawn| *drawn = new[random.below(new.len())]);
    })
}

/// Estimates the ratio; `draw` fills its last two arguments with a resample.
fn ratio(
    base: &[f64],
    new: &[f64],
    draw: impl Fn(&mut SplitMix, &mut [f64], &mut [f64]),
) -> Option<Ratio> {
    if base.is_empty() || new.is_empty() {
        return None;
    }
    let (mut drawn_base, mut drawn_new) = (base.to_vec(), new.to_vec());
    let estimate = fastest(&mut drawn_new) / fastest(&mut drawn_base);
    // A fixed seed: the same samples give the same interval.
    let mut random = SplitMix(1);
    let mut ratios: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            draw(&mut random, &mut drawn_base, &mut drawn_new);
            fastest(&mut drawn_new) / fastest(&mut drawn_base)
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small")]
    let excluded = (RESAMPLES as f64 * ALPHA / 2.0) as usize;
    Some(Ratio { estimate, low: ratios[excluded], high: ratios[RESAMPLES - 1 - excluded] })
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small")]
fn fastest(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(|a, b| b.total_cmp(a));
    let count = ((values.len() as f64 * FASTEST).round() as usize).max(1);
    values[..count].iter().sum::<f64>() / count as f64
}

#[cfg(test)]
mod tests;
