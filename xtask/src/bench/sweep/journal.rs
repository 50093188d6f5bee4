//! The journal of a sweep: a first line that says what is swept, then one for each
//! process of llama-bench that has ended. A line that cannot be read is as if it had
//! never been written: that process runs again.
//!
//! Pure: no I/O, no clock.

use std::hash::Hasher as _;

use fnv::FnvHasher;
use serde::{Deserialize, Serialize};

use crate::bench::llama_bench::TestResult;
use crate::bench::sweep::grid::Point;
use crate::bench::sweep::search::CompletedRun;

/// All that must be the same for samples to belong together.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subject {
    pub schema: u32,
    pub host: String,
    pub target: String,
    pub store_path: String,
    pub model: String,
    pub model_bytes: Option<u64>,
    pub tests: Vec<String>,
    pub repetitions: u32,
    /// What every point is given.
    pub flags: Vec<String>,
    pub options: Vec<String>,
    pub points: Vec<Point>,
    pub halving: bool,
}

impl Subject {
    /// Of the journal's file name, and of the order: the same wherever it is computed.
    pub fn hash(&self) -> u64 {
        let mut hasher = FnvHasher::default();
        hasher.write(serde_json::to_string(self).unwrap_or_default().as_bytes());
        hasher.finish()
    }
}

/// A process that has ended.
#[derive(Serialize, Deserialize)]
pub struct Line {
    point: Point,
    round: u32,
    seconds: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failed: Option<String>,
    #[serde(default)]
    results: Vec<TestResult>,
}

pub fn line(points: &[Point], ran: &CompletedRun) -> Line {
    let CompletedRun { point, round, seconds, ref outcome } = *ran;
    let failed = outcome.as_ref().err().cloned();
    let results = outcome.clone().unwrap_or_default();
    Line { point: points[point].clone(), round, seconds, failed, results }
}

/// What ran before; none where the journal is another sweep's.
pub fn read(text: &str, subject: &Subject) -> Option<Vec<CompletedRun>> {
    let first = text.lines().find_map(|line| serde_json::from_str::<Subject>(line).ok())?;
    if first != *subject {
        return None;
    }
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok());
    let usable = lines.filter_map(|line| {
        let point = subject.points.iter().position(|point| *point == line.point)?;
        let seconds =
            Some(line.seconds).filter(|seconds| seconds.is_finite() && *seconds >= 0.0)?;
        let outcome = line.failed.map_or(Ok(line.results), Err);
        let are_speeds = |results: &Vec<TestResult>| results.iter().all(TestResult::is_possible);
        outcome.as_ref().map_or(true, are_speeds).then_some(())?;
        Some(CompletedRun { point, round: line.round, seconds, outcome })
    });
    Some(usable.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject() -> Subject {
        Subject {
            schema: 1,
            host: "carbon".into(),
            target: "carbon".into(),
            store_path: "/nix/store/x".into(),
            model: "m".into(),
            model_bytes: Some(1),
            tests: vec!["pp128".into()],
            repetitions: 5,
            flags: vec![],
            options: vec!["-t".into()],
            points: vec![Point(vec!["1".into()]), Point(vec!["2".into()])],
            halving: false,
        }
    }

    fn ran(point: usize, round: u32) -> CompletedRun {
        // Which process took which sample is not in the file.
        let result = TestResult { processes: vec![], ..TestResult::of("pp128", &[2.0]) };
        let results = vec![result];
        CompletedRun { point, round, seconds: 1.5, outcome: Ok(results) }
    }

    #[test]
    fn what_was_written_is_read_and_damage_costs_only_itself() {
        let subject = subject();
        let head = serde_json::to_string(&subject).unwrap();
        let failed = CompletedRun { outcome: Err("\"no\"\n".into()), ..ran(1, 1) };
        let lines = [ran(0, 1), failed.clone(), ran(0, 2)];
        let lines: Vec<String> = lines
            .iter()
            .map(|ran| serde_json::to_string(&line(&subject.points, ran)).unwrap())
            .collect();
        let text = format!("{head}\n{}\n", lines.join("\n"));
        assert_eq!(read(&text, &subject).unwrap(), [ran(0, 1), failed.clone(), ran(0, 2)]);
        for cut in 0..lines[2].len() {
            let end = text.len() - 1 - lines[2].len() + cut;
            let torn = format!("{}\u{0}garbage\n{}\n", &text[..end], lines[2]);
            assert_eq!(read(&torn, &subject).unwrap().len(), 3, "{torn}");
        }
        let other = Subject { repetitions: 1, ..subject.clone() };
        assert_eq!(read(&text, &other), None);
        assert_ne!(other.hash(), subject.hash());
        assert_eq!(read("", &subject), None);
        assert_eq!(read(&text.replace("[\"2\"]", "[\"3\"]"), &subject), None);
        let foreign = format!("{head}\n{}\n", lines[1].replace("[\"2\"]", "[\"3\"]"));
        assert_eq!(read(&foreign, &subject).unwrap(), []);
    }
}
