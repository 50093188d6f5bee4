//! The samples of a measurement, and the comparison of each target of a paired run with the first.
//!
//! Pure: no I/O, no clock.

use serde::Serialize;

use crate::bench::llama_bench::TestResult;
use crate::statistics::{is_enough, median, paired, speed};

/// Samples by test and process, since those of one process are not independent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Samples {
    /// In the order in which the tests were first added.
    tests: Vec<(String, Vec<Vec<f64>>)>,
}

impl Samples {
    /// Adds the results of one process.
    pub fn add(&mut self, results: &[TestResult]) {
        for TestResult { test, samples, .. } in results {
            match self.tests.iter_mut().find(|(known, _)| known == test) {
                Some((_, processes)) => processes.push(samples.clone()),
                None => self.tests.push((test.clone(), vec![samples.clone()])),
            }
        }
    }

    pub fn tests(&self) -> impl Iterator<Item = (&str, &[Vec<f64>])> {
        self.tests.iter().map(|(test, processes)| (test.as_str(), processes.as_slice()))
    }

    pub fn results(&self) -> Vec<TestResult> {
        self.tests().map(|(test, processes)| TestResult::of_processes(test, processes)).collect()
    }

    /// Returns the samples of a test by process; empty if it was not measured.
    pub fn of(&self, test: &str) -> &[Vec<f64>] {
        self.tests().find(|(known, _)| *known == test).map_or(&[], |(_, processes)| processes)
    }
}

/// The result of one comparison target in one test.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    pub label: String,
    pub test: String,
    /// Median of all samples.
    pub median_tokens_per_second: f64,
    /// The speed from which `ratio` is computed.
    pub tokens_per_second: f64,
    /// Speed relative to the first target, which has 1.
    pub ratio: Option<f64>,
    /// 99 % confidence interval of the ratio; null with fewer than eight rounds.
    pub interval: Option<[f64; 2]>,
    pub samples: usize,
}

/// Compares every target with the first in every test, in the order of first occurrence.
pub fn standings(targets: &[(&str, &Samples)]) -> Vec<Standing> {
    let samples = targets.iter().flat_map(|(_, samples)| samples.tests());
    let tests = distinct(samples.map(|(test, _)| test));
    let standing = |test: &str, (label, samples): (&str, &Samples)| {
        let processes = samples.of(test);
        let base = targets.first()?.1.of(test);
        let ratio = paired(base, processes);
        Some(Standing {
            label: label.to_owned(),
            test: test.to_owned(),
            median_tokens_per_second: median(processes.concat())?,
            tokens_per_second: speed(processes)?,
            ratio: ratio.map(|ratio| ratio.estimate),
            interval: ratio
                .filter(|_| is_enough([base.len(), processes.len()]))
                .map(|ratio| [ratio.low, ratio.high]),
            samples: processes.iter().map(Vec::len).sum(),
        })
    };
    let of_test = |test| targets.iter().filter_map(move |target| standing(test, *target));
    tests.into_iter().flat_map(of_test).collect()
}

/// Returns each item once, in the order of first occurrence.
pub fn distinct<'a>(items: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = vec![];
    for item in items {
        if !seen.contains(&item) {
            seen.push(item);
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_to_the_first_over_all_rounds() {
        let mut upstream = Samples::default();
        let mut tuned = Samples::default();
        for round in [1.0, 2.0, 3.0] {
            upstream
                .add(&[TestResult::of("pp128", &[10.0 + round]), TestResult::of("tg32", &[5.0])]);
            tuned.add(&[TestResult::of("pp128", &[118.0 + round, 119.0 + round])]);
        }
        let standings = standings(&[("upstream", &upstream), ("tuned", &tuned)]);
        let figures: Vec<_> = standings
            .iter()
            .map(|s| (s.label.as_str(), s.test.as_str(), s.tokens_per_second, s.ratio))
            .collect();
        assert_eq!(
            figures,
            [
                ("upstream", "pp128", 13.0, Some(1.0)),
                ("tuned", "pp128", 122.0, Some(122.0 / 13.0)),
                ("upstream", "tg32", 5.0, Some(1.0)),
            ]
        );
        assert_eq!(standings[1].samples, 6);
    }
}
