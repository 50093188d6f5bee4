//! The journal of a sweep: a header, then a line for each llama-bench process that has ended. A line
//! that cannot be parsed is ignored, and its process runs again.
//!
//! Pure: no I/O, no clock.

use std::hash::Hasher as _;

use fnv::FnvHasher;
use serde::{Deserialize, Serialize};

use crate::bench::llama_bench::TestResult;
use crate::bench::sweep::grid::Point;
use crate::bench::sweep::search::CompletedRun;

/// The first line: everything that must be equal to resume the sweep.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Header {
    pub schema: u32,
    pub host: String,
    pub target: String,
    pub store_path: String,
    pub model: String,
    pub model_bytes: Option<u64>,
    pub tests: Vec<String>,
    pub repetitions: u32,
    /// Arguments of every point.
    pub flags: Vec<String>,
    pub options: Vec<String>,
    pub points: Vec<Point>,
    pub halving: bool,
}

impl Header {
    /// Returns a hash for the file name and the random order, the same on every machine.
    pub fn hash(&self) -> u64 {
        let mut hasher = FnvHasher::default();
        hasher.write(serde_json::to_string(self).unwrap_or_default().as_bytes());
        hasher.finish()
    }
}

/// Returns the completed runs; None if the journal belongs to another sweep.
pub fn read(text: &str, header: &Header) -> Option<Vec<CompletedRun>> {
    let first = text.lines().find_map(|line| serde_json::from_str::<Header>(line).ok())?;
    let is_usable = |ran: &CompletedRun| {
        ran.point < header.points.len()
            && ran.seconds.is_finite()
            && ran.seconds >= 0.0
            && ran.outcome.iter().flatten().all(TestResult::is_possible)
    };
    let lines = text.lines().filter_map(|line| serde_json::from_str(line).ok());
    (first == *header).then(|| lines.filter(is_usable).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
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
        let results = vec![TestResult::of("pp128", &[2.0])];
        CompletedRun { point, round, seconds: 1.5, outcome: Ok(results) }
    }

    #[test]
    fn a_damaged_line_is_ignored() {
        let header = header();
        let head = serde_json::to_string(&header).unwrap();
        let failed = CompletedRun { outcome: Err("\"no\"\n".into()), ..ran(1, 1) };
        let lines = [ran(0, 1), failed.clone(), ran(0, 2)];
        let lines: Vec<String> =
            lines.iter().map(|ran| serde_json::to_string(ran).unwrap()).collect();
        let text = format!("{head}\n{}\n", lines.join("\n"));
        assert_eq!(read(&text, &header).unwrap(), [ran(0, 1), failed.clone(), ran(0, 2)]);
        for cut in 0..lines[2].len() {
            let end = text.len() - 1 - lines[2].len() + cut;
            let torn = format!("{}\u{0}garbage\n{}\n", &text[..end], lines[2]);
            assert_eq!(read(&torn, &header).unwrap().len(), 3, "{torn}");
        }
        let other = Header { repetitions: 1, ..header.clone() };
        assert_eq!(read(&text, &other), None);
        assert_ne!(other.hash(), header.hash());
        assert_eq!(read("", &header), None);
        assert_eq!(read(&text.replace("[\"2\"]", "[\"3\"]"), &header), None);
        for (from, to) in [("\"point\":1", "\"point\":2"), ("1.5", "-1.5"), ("1.5", "1e999")] {
            let foreign = format!("{head}\n{}\n", lines[1].replace(from, to));
            assert_eq!(read(&foreign, &header).unwrap(), [], "{foreign}");
        }
    }
}
