//! Several contenders on one machine: each against the first, by what
//! [`crate::bench::statistics::bootstrap`] makes of the rounds that they ran side by side.
//!
//! Pure: no I/O, no clock.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::bench::llama_bench::TestResult;
use crate::bench::statistics::bootstrap::paired;

/// Samples of one contender, by test and by process.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Samples {
    tests: Vec<String>,
    rounds: BTreeMap<String, Vec<Vec<f64>>>,
}

impl Samples {
    /// Takes in what one more process measured.
    pub fn add(&mut self, results: &[TestResult]) {
        for result in results {
            if !self.rounds.contains_key(&result.test) {
                self.tests.push(result.test.clone());
            }
            self.rounds.entry(result.test.clone()).or_default().push(result.samples.clone());
        }
    }

    fn of(&self, test: &str) -> &[Vec<f64>] {
        self.rounds.get(test).map_or(&[], Vec::as_slice)
    }

    pub fn median(&self, test: &str) -> Option<f64> {
        median(&self.of(test).concat())
    }
}

/// One test, one contender.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    pub label: String,
    pub test: String,
    pub median_tokens_per_second: f64,
    /// To the first contender; 1 for itself.
    pub ratio: Option<f64>,
    /// Holds the ratio with 99 % confidence.
    pub interval: Option<[f64; 2]>,
    pub samples: usize,
}

/// Every contender in every test, in the order in which they were first seen; the
/// first contender is what the others are held against.
pub fn standings(contenders: &[(String, Samples)]) -> Vec<Standing> {
    let mut tests: Vec<&String> = vec![];
    for (_, samples) in contenders {
        for test in &samples.tests {
            if !tests.contains(&test) {
                tests.push(test);
            }
        }
    }
    let mut standings = vec![];
    for test in tests {
        let base = contenders.first().map_or(&[][..], |(_, samples)| samples.of(test));
        for (label, samples) in contenders {
            let Some(median) = samples.median(test) else { continue };
            let ratio = paired(base, samples.of(test));
            standings.push(Standing {
                label: label.clone(),
                test: test.clone(),
                median_tokens_per_second: median,
                ratio: ratio.map(|ratio| ratio.estimate),
                interval: ratio.map(|ratio| [ratio.low, ratio.high]),
                samples: samples.of(test).iter().map(Vec::len).sum(),
            });
        }
    }
    standings
}

/// The middle value; between the two middle ones of an even number.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        n if n % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(test: &str, samples: &[f64]) -> TestResult {
        TestResult {
            test: test.into(),
            tokens_per_second: 0.0,
            stddev: 0.0,
            samples: samples.to_vec(),
        }
    }

    #[test]
    fn a_median_is_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 100.0]), Some(3.0));
    }

    #[test]
    fn ratios_are_to_the_first_over_all_rounds() {
        let mut upstream = Samples::default();
        let mut tuned = Samples::default();
        for round in [1.0, 2.0, 3.0] {
            upstream.add(&[result("pp128", &[10.0 + round]), result("tg32", &[5.0])]);
            tuned.add(&[result("pp128", &[118.0 + round, 119.0 + round])]);
        }
        let standings = standings(&[("upstream".into(), upstream), ("tuned".into(), tuned)]);
        let told: Vec<_> = standings
            .iter()
            .map(|s| (s.label.as_str(), s.test.as_str(), s.median_tokens_per_second, s.ratio))
            .collect();
        assert_eq!(
            told,
            [
                ("upstream", "pp128", 12.0, Some(1.0)),
                ("tuned", "pp128", 120.5, Some(122.0 / 13.0)),
                ("upstream", "tg32", 5.0, Some(1.0)),
            ]
        );
        assert_eq!(standings[1].samples, 6);
    }
}
