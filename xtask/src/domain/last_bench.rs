//! What `list` shows of bench/HOST.jsonl, a result a line: the newest one.

use serde::{Deserialize, Serialize};

/// The fields used of a result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LastBench {
    #[serde(default)]
    pub date: Option<String>,
    pub results: Vec<Speed>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Speed {
    pub test: String,
    pub tokens_per_second: f64,
}

/// The last line that is whole: a run that was killed may have left half of one.
pub fn newest(text: &str) -> Option<LastBench> {
    text.lines().rev().find_map(|line| serde_json::from_str(line).ok())
}

impl std::fmt::Display for LastBench {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, Speed { test, tokens_per_second }) in self.results.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{test} {tokens_per_second:.1}")?;
        }
        match self.date.as_deref().and_then(|date| date.get(..10)) {
            Some(day) => write!(f, " ({day})"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_whole_line_counts() {
        let line = r#"{"date":"2026-11-12T03:04:05Z","results":[{"test":"pp128","tokensPerSecond":93.26}]}"#;
        let shown = |text: &str| newest(text).map(|last| last.to_string());
        assert_eq!(
            shown(&format!("x\n{line}\n{{\"da")).as_deref(),
            Some("pp128 93.3 (2026-11-12)")
        );
        assert_eq!(shown(""), None);
    }
}
