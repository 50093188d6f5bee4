//! The runs of one setting as rows of a table, the newest first: what HTML and Markdown
//! both write.

use std::collections::BTreeMap;

use crate::bench::report::history::{Point, Setting};

/// As many rows as a person reads; `--json` has them all.
pub const MOST_ROWS: usize = 20;
/// As many tests side by side as a page has room for.
pub const MOST_TESTS: usize = 6;

pub struct Row<'a> {
    /// What all tests of the run have in common.
    pub about: &'a Point,
    /// One cell for each of the setting's tests; none where the run did not have it.
    pub cells: Vec<Option<&'a Point>>,
}

/// The rows that are shown, and how many there are in all.
pub fn rows(setting: &Setting) -> (Vec<Row<'_>>, usize) {
    let tests = setting.series.len().min(MOST_TESTS);
    let mut runs: BTreeMap<&str, Row> = BTreeMap::new();
    for (column, series) in setting.series.iter().take(tests).enumerate() {
        // Of a test that one run measured twice, the last counts.
        for point in &series.points {
            let empty = || Row { about: point, cells: vec![None; tests] };
            runs.entry(&point.run).or_insert_with(empty).cells[column] = Some(point);
        }
    }
    let all = runs.len();
    let mut rows: Vec<Row> = runs.into_values().collect();
    rows.sort_by(|a, b| b.about.date.cmp(&a.about.date));
    rows.truncate(MOST_ROWS);
    (rows, all)
}
