//! Estimates times and sizes from earlier builds.
//!
//! Pure: no I/O, no clock.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::nix::names::StorePath;
use crate::statistics;

/// One successful build.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The derivation's name, for example `llama-cpp-cpu-znver4-6123`.
    pub name: String,
    /// The machine that built it; empty for this one.
    #[serde(default)]
    pub machine: String,
    /// Wall-clock time.
    pub seconds: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out: Option<StorePath>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closure_bytes: Option<u64>,
}

/// Records of earlier builds.
#[derive(Debug, Default)]
pub struct History {
    /// By name without version: records with their line numbers, oldest first.
    by_key: BTreeMap<String, Vec<(usize, Record)>>,
    lines: usize,
}

/// Maximum number of records per name and machine.
const RECORDS_EACH: usize = 5;
/// Maximum number of records in the file.
const MOST_RECORDS: usize = 5000;

impl History {
    /// Parses JSON lines; damaged ones are skipped.
    pub fn parse(text: &str) -> Self {
        let mut history = Self::default();
        for line in text.lines() {
            history.lines += 1;
            if let Ok(record) = serde_json::from_str::<Record>(line)
                && record.seconds.is_finite()
                && record.seconds >= 0.0
            {
                let records = history.by_key.entry(key(&record.name).to_owned()).or_default();
                records.push((history.lines, record));
            }
        }
        history
    }

    /// Returns the median time of the last builds of this name: on the same machine if there are
    /// any, else on all machines.
    pub fn seconds(&self, name: &str, machine: &str) -> Option<f64> {
        let records = self.by_key.get(key(name))?;
        let records = || records.iter().map(|(_, record)| record);
        median(records().filter(|record| record.machine == machine)).or_else(|| median(records()))
    }

    /// Returns the last build of this name with another output, to compare closure sizes with.
    pub fn before(&self, name: &str, out: &StorePath) -> Option<&Record> {
        let records = self.by_key.get(key(name))?;
        let other = |record: &&Record| record.out.as_ref().is_some_and(|other| other != out);
        records.iter().rev().map(|(_, record)| record).find(other)
    }

    /// Returns a shorter text for the file, if less than half of its lines are still needed.
    pub fn compact(&self) -> Option<String> {
        let mut kept: Vec<&(usize, Record)> = vec![];
        for records in self.by_key.values() {
            let mut of_machine: BTreeMap<&str, usize> = BTreeMap::new();
            for numbered in records.iter().rev() {
                let count = of_machine.entry(&numbered.1.machine).or_default();
                *count += 1;
                if *count <= RECORDS_EACH {
                    kept.push(numbered);
                }
            }
        }
        kept.sort_by_key(|(number, _)| *number);
        let kept = &kept[kept.len().saturating_sub(MOST_RECORDS)..];
        (self.lines > 2 * kept.len() + 100).then(|| kept.iter().map(|(_, r)| line(r)).collect())
    }
}

/// Formats a record as a JSON line.
pub fn line(record: &Record) -> String {
    serde_json::to_string(record).map(|json| json + "\n").unwrap_or_default()
}

/// Removes the version: `llama-cpp-cpu-x86-64-v3-6123` → `llama-cpp-cpu-x86-64-v3`.
fn key(name: &str) -> &str {
    match name.rsplit_once('-') {
        Some((start, version)) if version.starts_with(|c: char| c.is_ascii_digit()) => start,
        _ => name,
    }
}

fn median<'a>(records: impl DoubleEndedIterator<Item = &'a Record>) -> Option<f64> {
    statistics::median(records.rev().take(RECORDS_EACH).map(|record| record.seconds))
}

/// Estimates the remaining seconds of a running build from the time of earlier builds and the pace
/// of its steps. The pace gets the weight of the fraction that is done.
pub fn remaining(earlier: Option<f64>, elapsed: f64, steps: Option<Pace>) -> Option<f64> {
    let by_history = earlier.filter(|all| *all > elapsed).map(|all| all - elapsed);
    let by_pace = steps.and_then(|pace| pace.remaining());
    match (by_history, by_pace, steps) {
        (Some(history), Some(own), Some(pace)) => {
            Some(history * (1.0 - pace.fraction) + own * pace.fraction)
        }
        (one, other, _) => other.or(one),
    }
}

/// The pace of a build's steps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// The fraction that is done now.
    pub fraction: f64,
    /// The fraction that was done when the first step was reported.
    pub first_fraction: f64,
    /// Seconds since the first step was reported.
    pub seconds: f64,
}

impl Pace {
    /// Estimates the remaining seconds, after the first twentieth of the steps.
    fn remaining(self) -> Option<f64> {
        let gained = self.fraction - self.first_fraction;
        (gained >= 0.05).then(|| self.seconds / gained * (1.0 - self.fraction))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &str, machine: &str, seconds: f64, out: &str) -> Record {
        Record {
            name: name.into(),
            machine: machine.into(),
            seconds,
            out: Some(StorePath::new(out)),
            closure_bytes: Some(7),
        }
    }

    #[test]
    fn the_estimate_is_the_median_of_the_last_builds_on_the_machine() {
        let mut text = String::new();
        for seconds in [9000.0, 10.0, 30.0, 20.0, 9000.0, 25.0] {
            text += &line(&record("x-64-v3-6123", "", seconds, "/o"));
        }
        text += &line(&record("x-64-v3-6124", "big", 5.0, "/o"));
        let history = History::parse(&text);
        assert_eq!(history.seconds("x-64-v3-6200", ""), Some(25.0));
        assert_eq!(history.seconds("x-64-v3-6200", "big"), Some(5.0));
        assert!(history.seconds("x-64-v3-6200", "new").is_some());
        assert_eq!(history.seconds("x-64-v4-6200", ""), None);
    }

    #[test]
    fn the_size_is_compared_with_the_last_other_output() {
        let text: String =
            ["/a", "/b", "/b"].iter().map(|out| line(&record("x-1", "", 1.0, out))).collect();
        let history = History::parse(&text);
        let before = |out| {
            let found = history.before("x-2", &StorePath::new(out))?;
            found.out.as_ref().map(|out| out.as_str().to_owned())
        };
        assert_eq!(before("/b").as_deref(), Some("/a"));
        assert_eq!(before("/c").as_deref(), Some("/b"));
        assert!(history.before("y", &StorePath::new("/b")).is_none());
    }

    #[test]
    fn a_damaged_line_is_skipped_and_the_file_stays_small() {
        let good = line(&record("x-1", "", 3.0, "/a"));
        let text =
            format!("{good}{{\"name\":\n\n\u{0}\n{{\"name\":\"x-1\",\"seconds\":-1}}\n{good}");
        assert_eq!(History::parse(&text).seconds("x-1", ""), Some(3.0));
        assert_eq!(History::parse(&text).compact(), None);
        let grown = good.repeat(300);
        assert_eq!(History::parse(&grown).compact(), Some(good.repeat(RECORDS_EACH)));
    }

    #[test]
    fn the_estimate_moves_from_the_history_to_the_pace() {
        let pace = |fraction, seconds| Some(Pace { fraction, first_fraction: 0.0, seconds });
        assert_eq!(remaining(None, 5.0, None), None);
        assert_eq!(remaining(Some(100.0), 40.0, None), Some(60.0));
        assert_eq!(remaining(None, 40.0, pace(0.5, 30.0)), Some(30.0));
        assert_eq!(remaining(None, 40.0, pace(0.01, 30.0)), None);
        assert_eq!(remaining(Some(100.0), 40.0, pace(0.5, 40.0)), Some(50.0));
        // Slower than every earlier build: only the pace counts.
        assert_eq!(remaining(Some(10.0), 40.0, pace(0.5, 40.0)), Some(40.0));
        assert_eq!(remaining(Some(10.0), 40.0, None), None);
    }
}
