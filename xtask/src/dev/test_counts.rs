//! Counting what test runners report.
//!
//! Pure: no I/O, no clock.

use serde::Deserialize;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    pub passed: u64,
    pub failed: u64,
    pub skipped: u64,
}

impl Tally {
    pub fn one(ok: bool) -> Self {
        Self { passed: u64::from(ok), failed: u64::from(!ok), skipped: 0 }
    }

    pub fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }

    /// `test result: ok. 40 passed; 0 failed; 1 ignored; …`, as libtest prints it.
    pub fn from_libtest(line: &str) -> Option<Self> {
        let counts = line.trim().strip_prefix("test result:")?;
        let count = |what: &str| {
            let before = counts.split(what).next()?;
            before.split_whitespace().next_back()?.parse().ok()
        };
        Some(Self {
            passed: count(" passed")?,
            failed: count(" failed")?,
            skipped: count(" ignored")?,
        })
    }
}

/// What testbed/tests and tests/ evaluate to.
#[derive(Debug, Deserialize)]
pub struct NixTests {
    pub passed: u64,
    pub failures: Vec<NixFailure>,
}

#[derive(Debug, Deserialize)]
pub struct NixFailure {
    pub name: String,
    #[serde(default)]
    pub expected: serde_json::Value,
    #[serde(default)]
    pub got: serde_json::Value,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_of_libtest_are_read() {
        let line = "test result: FAILED. 40 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out; finished in 2.54s";
        assert_eq!(Tally::from_libtest(line), Some(Tally { passed: 40, failed: 2, skipped: 1 }));
        assert_eq!(Tally::from_libtest("test a ... ok"), None);
    }
}
