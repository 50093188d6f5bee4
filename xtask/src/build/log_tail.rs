//! The end of a build's log, for the terminal and the report: a limited number of lines and
//! bytes, without terminal escapes.
//!
//! Pure: no I/O, no clock.

use std::collections::VecDeque;

/// Maximum lines per derivation; the full log is on disk.
const LINES: usize = 25;
/// Maximum bytes per derivation.
const BYTES: usize = 16 << 10;
/// Maximum bytes per line.
const LINE_BYTES: usize = 2000;

#[derive(Debug, Default, Clone)]
pub struct Tail {
    lines: VecDeque<String>,
    bytes: usize,
}

impl Tail {
    /// Appends a sanitized line.
    pub fn push(&mut self, line: &str) {
        let line = cut(line);
        self.bytes += line.len();
        self.lines.push_back(line);
        while self.lines.len() > LINES || self.bytes > BYTES {
            self.bytes -= self.lines.pop_front().map_or(0, |line| line.len());
        }
    }

    pub fn lines(&self) -> Vec<String> {
        self.lines.iter().cloned().collect()
    }

    /// Returns the last lines, newest first.
    pub fn newest(&self) -> impl Iterator<Item = &String> {
        self.lines.iter().rev()
    }
}

/// Cuts a line to the maximum length, and appends how many bytes are missing.
fn cut(line: &str) -> String {
    if line.len() <= LINE_BYTES {
        return line.to_owned();
    }
    let end = (0..=LINE_BYTES).rev().find(|at| line.is_char_boundary(*at)).unwrap_or_default();
    format!("{}… ({} bytes more)", &line[..end], line.len() - end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ui::sanitize::sanitize;

    #[test]
    fn a_long_line_is_cut_with_a_mark() {
        let mut tail = Tail::default();
        tail.push(&"é".repeat(1 << 19));
        let lines = tail.lines();
        assert_eq!(lines.len(), 1);
        assert!(lines[0].ends_with("é… (1046576 bytes more)"), "{}", &lines[0][1990..]);
    }

    #[test]
    fn the_last_lines_remain() {
        let mut tail = Tail::default();
        (0..100).for_each(|n| tail.push(&n.to_string()));
        assert_eq!(tail.lines().len(), LINES);
        assert_eq!(tail.lines().last().map(String::as_str), Some("99"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn any_lines_stay_small_and_sanitized(
            lines in prop::collection::vec((any::<String>(), 1..900usize), 0..40),
        ) {
            let mut tail = Tail::default();
            for (line, times) in &lines {
                tail.push(&sanitize(line.repeat(*times)));
                prop_assert!(tail.lines().len() <= LINES);
                prop_assert!(tail.lines().iter().map(String::len).sum::<usize>() <= BYTES);
            }
            let shown = tail.lines().concat();
            prop_assert_eq!(sanitize(&shown), shown.as_str());
        }
    }
}
