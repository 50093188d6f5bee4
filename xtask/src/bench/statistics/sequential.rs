//! Whether a build is slower than another by a given share, asked again and again while
//! they are measured in turns, until the answer is sure or is not to be had.
//!
//! Each round runs both, so what slows the machine for minutes meets both and drops out of
//! their ratio. Of the ratios only their order counts: the interval around the median
//! reaches from the k-th smallest to the k-th largest, and by the binomial distribution it
//! misses the true median with a probability that does not depend on how the noise is
//! distributed (Hollander, Wolfe and Chicken, "Nonparametric Statistical Methods", 2014,
//! section 3.6). It is looked at a few times only, since each look is one more chance to
//! be wrong.
//!
//! Pure: no I/O, no clock.

/// After how many rounds is looked; the last is the end of it.
pub const LOOKS: [usize; 6] = [8, 12, 18, 27, 40, 60];
/// How often one look may miss on one side. Of eight rounds all must agree: 1/256.
const ERROR: f64 = 0.004;

/// How fast one is in terms of the other: 0.9 is ten percent slower.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ratio {
    pub median: f64,
    pub low: f64,
    pub high: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    Slower,
    /// Not by so much.
    NotSlower,
    /// More rounds may tell.
    Unsure,
}

/// From the rounds' ratios; none where there are too few for any interval.
pub fn ratio(rounds: &[f64]) -> Option<Ratio> {
    let mut sorted: Vec<f64> =
        rounds.iter().copied().filter(|it| it.is_finite() && *it > 0.0).collect();
    sorted.sort_by(f64::total_cmp);
    let (count, out) = (sorted.len(), left_out(sorted.len())?);
    let median = (sorted[(count - 1) / 2] + sorted[count / 2]) / 2.0;
    Some(Ratio { median, low: sorted[out], high: sorted[count - 1 - out] })
}

/// `limit`: the ratio below which it counts as slower.
pub fn tell(ratio: Ratio, limit: f64) -> Told {
    if ratio.high < limit {
        Told::Slower
    } else if ratio.low > limit {
        Told::NotSlower
    } else {
        Told::Unsure
    }
}

/// Without a share named by the user: half of what was lost at the bad end, where that is
/// surely slower at all.
pub fn usual_limit(bad: Ratio) -> Option<f64> {
    (bad.high < 1.0).then(|| f64::midpoint(1.0, bad.median))
}

/// How many of so many values are left out at either end.
#[expect(clippy::cast_precision_loss, reason = "a few dozen")]
fn left_out(count: usize) -> Option<usize> {
    // The probability of each number of heads among `count` coins.
    let mut probability = 0.5_f64.powi(i32::try_from(count).ok()?);
    let (mut missed, mut out) = (probability, None);
    for heads in 0..count {
        if missed > ERROR {
            break;
        }
        out = Some(heads);
        probability *= (count - heads) as f64 / (heads + 1) as f64;
        missed += probability;
    }
    out
}

/// `24.8 % slower (22.1 to 26.9)`
pub fn words(ratio: Ratio) -> String {
    let percent = |ratio: f64| (1.0 - ratio) * 100.0;
    let (low, high) = (percent(ratio.high), percent(ratio.low));
    match percent(ratio.median) {
        slower if slower >= 0.0 => format!("{slower:.1} % slower ({low:.1} to {high:.1})"),
        faster => format!("{:.1} % faster ({:.1} to {:.1})", -faster, 0.0 - high, 0.0 - low),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a fixed seed, so that the rates below are the same each time.
    struct Dice(u64);

    impl Dice {
        /// Between 0 and 1.
        #[expect(clippy::cast_precision_loss, reason = "53 bits")]
        fn roll(&mut self) -> f64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (self.0 >> 11) as f64 / (1_u64 << 53) as f64
        }

        /// About normal, with this standard deviation.
        fn normal(&mut self, deviation: f64) -> f64 {
            ((0..12).map(|_| self.roll()).sum::<f64>() - 6.0) * deviation
        }

        /// A speed as a machine gives it: some spread, and now and then a neighbour that
        /// takes up to two thirds of it.
        fn speed(&mut self, truth: f64, neighbours: f64) -> f64 {
            let disturbed = if self.roll() < neighbours { 1.0 + 2.0 * self.roll() } else { 1.0 };
            truth * self.normal(0.03).exp() / disturbed
        }
    }

    /// (told slower, told not slower, unsure to the end, rounds) of a thousand.
    fn judge(truth: f64, limit: f64, neighbours: f64) -> (u32, u32, u32, usize) {
        let (mut dice, mut counts) = (Dice(42), (0, 0, 0, 0));
        for _ in 0..1000 {
            let (mut rounds, mut told) = (vec![], Told::Unsure);
            for look in LOOKS {
                while rounds.len() < look {
                    rounds.push(dice.speed(truth, neighbours) / dice.speed(1.0, neighbours));
                }
                told = tell(ratio(&rounds).unwrap(), limit);
                if told != Told::Unsure {
                    break;
                }
            }
            counts.3 += rounds.len();
            match told {
                Told::Slower => counts.0 += 1,
                Told::NotSlower => counts.1 += 1,
                Told::Unsure => counts.2 += 1,
            }
        }
        counts
    }

    #[test]
    fn a_quarter_less_is_told_from_the_same_and_rarely_wrongly() {
        // Wrong in at most half a percent on either side, whatever the neighbours do.
        for neighbours in [0.0, 0.1, 0.3] {
            let (slower, not, _, _) = judge(0.75, 0.875, neighbours);
            assert!(not <= 5, "{neighbours}: {not} of 1000 slower ones are called as fast");
            assert!(slower >= if neighbours > 0.2 { 850 } else { 990 }, "{neighbours}: {slower}");
            let (slower, not, _, _) = judge(1.0, 0.875, neighbours);
            assert!(slower <= 5, "{neighbours}: {slower} of 1000 equal ones are called slower");
            assert!(not >= if neighbours > 0.2 { 850 } else { 990 }, "{neighbours}: {not}");
        }
        // On a quiet machine the first look is enough.
        assert!(judge(0.75, 0.875, 0.0).3 <= 8100);
    }

    #[test]
    fn at_the_limit_itself_it_mostly_cannot_be_told() {
        for neighbours in [0.0, 0.3] {
            let (slower, not, unsure, _) = judge(0.9, 0.9, neighbours);
            assert!(slower <= 24 && not <= 24 && unsure >= 950, "{slower} {not} {unsure}");
        }
    }

    #[test]
    fn a_whole_search_is_wrong_in_less_than_a_twentieth() {
        use crate::pin::bisect::search::{Answer, Next, Search, Verdict};
        let (mut dice, mut wrong, mut open) = (Dice(7), 0, 0);
        for first in (1..33).cycle().take(320) {
            let mut search = Search::new(33);
            search.tell(0, Verdict::Good);
            let answer = loop {
                let at = match search.next() {
                    Next::Done(answer) => break answer,
                    Next::Judge(at) => at,
                };
                let (truth, mut rounds, mut told) =
                    (if at < first { 1.0 } else { 0.75 }, vec![], Told::Unsure);
                for look in LOOKS {
                    while rounds.len() < look {
                        rounds.push(dice.speed(truth, 0.2) / dice.speed(1.0, 0.2));
                    }
                    told = tell(ratio(&rounds).unwrap(), 0.875);
                    if told != Told::Unsure {
                        break;
                    }
                }
                search.tell(
                    at,
                    match told {
                        Told::Slower => Verdict::Bad,
                        Told::NotSlower => Verdict::Good,
                        Told::Unsure => Verdict::Inconclusive,
                    },
                );
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
        assert!(wrong <= 16 && open <= 32, "{wrong} wrong and {open} open of 320");
    }

    #[test]
    fn an_interval_leaves_out_as_many_as_it_may() {
        assert_eq!([7, 8, 12, 18, 27].map(left_out), [None, Some(0), Some(1), Some(3), Some(6)]);
        assert_eq!(ratio(&[f64::NAN; 9]), None);
        let rounds: Vec<f64> = (1..=8).map(f64::from).collect();
        assert_eq!(ratio(&rounds), Some(Ratio { median: 4.5, low: 1.0, high: 8.0 }));
        assert_eq!(usual_limit(Ratio { median: 0.8, low: 0.7, high: 0.9 }), Some(0.9));
        assert_eq!(usual_limit(Ratio { median: 0.8, low: 0.7, high: 1.1 }), None);
        let slower = Ratio { median: 0.75, low: 0.7, high: 0.8 };
        assert_eq!(words(slower), "25.0 % slower (20.0 to 30.0)");
        let faster = Ratio { median: 1.25, low: 1.0, high: 1.5 };
        assert_eq!(words(faster), "25.0 % faster (0.0 to 50.0)");
    }
}
