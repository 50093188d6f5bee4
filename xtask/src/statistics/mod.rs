//! Statistics: whether one build is faster than another, from few samples of a noisy
//! machine. One method for `bench`, `update --bench`, `bisect --by bench` and `--sweep`.
//!
//! Other work on a machine only ever slows a repetition down, often tenfold, and never
//! makes it faster. So the fast end of the samples shows the build and the slow end its
//! neighbours (Chen and Revels, "Robust benchmarking in noisy environments", 2016): a
//! process of llama-bench counts by its fastest repetition, several processes by the mean
//! of their fastest quarter. The repetitions of one process share its memory layout, its
//! clock frequency and its moment, so the number of processes is what counts (Kalibera
//! and Jones, "Rigorous benchmarking in reasonable time", 2013), and the bootstrap draws
//! processes (Efron and Tibshirani, "An introduction to the bootstrap", 1993, chapter 13:
//! percentiles).
//!
//! Compared with rank statistics in simulations and on recorded samples: the interval of
//! the sign test around the median of the ratios, asked at the same [`LOOKS`], finds a
//! slow-down of 10 % in 71 % of the searches where a neighbour disturbs three of ten
//! processes; this method finds it in all of them, after a third of the rounds. Only beside
//! compilers, where four of five repetitions are disturbed, is the sign test ahead (95 %
//! against 74 %). The tests hold the error rates.
//!
//! Entry points: `median`, `paired`, `unpaired`, `Ratio::compare`.
//!
//! Imports: nothing.
//!
//! Pure: no I/O, no clock.

pub mod random;

use crate::statistics::random::SplitMix;

/// Two-sided error of an interval. Small, because a bench judges several tests, and one
/// false alarm too many makes every alarm worthless.
const ALPHA: f64 = 0.01;
/// The share of the processes that counts.
const FASTEST: f64 = 0.25;
const RESAMPLES: usize = 2000;

/// The rounds after which a sequential measurement looks at its result. Few, because each
/// look is one more chance to be wrong; the last ends it.
pub const LOOKS: [usize; 6] = [8, 12, 18, 27, 40, 60];

/// The speed of one build divided by that of another: 1.1 is ten percent faster.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ratio {
    pub estimate: f64,
    pub low: f64,
    pub high: f64,
}

/// What a ratio says about a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    Slower,
    NotSlower,
    /// The interval contains the limit: more rounds may decide.
    Undecided,
}

impl Ratio {
    /// Compares it with the ratio below which a build counts as slower.
    pub fn compare(&self, limit: f64) -> Decision {
        if self.high < limit {
            Decision::Slower
        } else if self.low > limit {
            Decision::NotSlower
        } else {
            Decision::Undecided
        }
    }

    /// The limit for a search whose bad end has this ratio: half of what was lost. None
    /// unless it is certainly slower.
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

/// Of fewer processes a 99 % interval says nothing: that of one has no width.
pub const LEAST_PROCESSES: usize = 5;

/// Whether so many processes of each build are enough for an interval.
pub fn is_enough(processes: [usize; 2]) -> bool {
    processes.iter().all(|processes| *processes >= LEAST_PROCESSES)
}

/// The middle value; halfway between the two middle ones of an even number.
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

/// Returns the fastest repetition of a process.
pub fn best(repetitions: &[f64]) -> Option<f64> {
    let positive = repetitions.iter().copied().filter(|speed| speed.is_finite() && *speed > 0.0);
    positive.max_by(f64::total_cmp)
}

/// Returns the mean of the fastest quarter of several processes.
pub fn speed(processes: &[Vec<f64>]) -> Option<f64> {
    let mut bests = bests(processes);
    (!bests.is_empty()).then(|| fastest(&mut bests))
}

fn bests(processes: &[Vec<f64>]) -> Vec<f64> {
    processes.iter().filter_map(|process| best(process)).collect()
}

/// Compares builds that ran in turns. Rounds of equal index are drawn together: what slows
/// one slows the other, and cancels out. None without a round in which both have a speed.
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

/// Compares builds that were measured at different times.
pub fn unpaired(base: &[Vec<f64>], new: &[Vec<f64>]) -> Option<Ratio> {
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
mod tests;
