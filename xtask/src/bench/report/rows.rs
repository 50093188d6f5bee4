//! The runs of one setting as table rows for HTML and Markdown, the newest first.

use std::collections::BTreeMap;

use crate::bench::report::history::{Point, Setting};

/// Maximum number of rows; `--json` has all.
pub const MAX_ROWS: usize = 20;
/// Maximum number of tests, which are columns.
pub const MAX_TESTS: usize = 6;

pub struct Row<'a> {
    /// A point of the run, for the fields that all of its tests share.
    pub about: &'a Point,
    /// One cell for each test of the setting; None if the run did not measure it.
    pub cells: Vec<Option<&'a Point>>,
}

/// Returns the newest rows, and the number of all rows.
pub fn rows(setting: &Setting) -> (Vec<Row<'_>>, usize) {
    let tests = setting.series.len().min(MAX_TESTS);
    let mut runs: BTreeMap<&str, Row> = BTreeMap::new();
    for (column, series) in setting.series.iter().take(tests).enumerate() {
        // If a run measured a test twice, the last result is shown.
        for point in &series.points {
            let empty = || Row { about: point, cells: vec![None; tests] };
            runs.entry(&point.run).or_insert_with(empty).cells[column] = Some(point);
        }
    }
    let all = runs.len();
    let mut rows: Vec<Row> = runs.into_values().collect();
    rows.sort_by(|a, b| b.about.date.cmp(&a.about.date));
    rows.truncate(MAX_ROWS);
    (rows, all)
}
