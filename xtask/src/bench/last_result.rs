//! What `list` shows of bench/HOST.jsonl: every test of the newest run.
//!
//! Pure: no I/O, no clock.

use serde::{Deserialize, Serialize};

/// A run, or the fields used of one line of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LastBench {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
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

/// The run of the last line that is whole: a run that was killed may have left half of
/// one. A test that was measured in several rounds has their mean.
pub fn newest(text: &str) -> Option<LastBench> {
    let lines = text.lines().rev().filter_map(|line| serde_json::from_str(line).ok());
    let mut lines: Vec<LastBench> = lines.collect();
    let LastBench { run, date, results } = lines.first()?.clone();
    if run.is_none() {
        return Some(LastBench { run, date, results });
    }
    lines.retain(|line| line.run == run);
    let mut tests: Vec<(String, Vec<f64>)> = vec![];
    for Speed { test, tokens_per_second } in lines.into_iter().rev().flat_map(|line| line.results) {
        match tests.iter_mut().find(|(known, _)| *known == test) {
            Some((_, speeds)) => speeds.push(tokens_per_second),
            None => tests.push((test, vec![tokens_per_second])),
        }
    }
    let mean = |speeds: &[f64]| speeds.iter().sum::<f64>() / speeds.len() as f64;
    let results = tests
        .into_iter()
        .map(|(test, speeds)| Speed { test, tokens_per_second: mean(&speeds) })
        .collect();
    Some(LastBench { run, date, results })
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

    fn shown(text: &str) -> Option<String> {
        newest(text).map(|last| last.to_string())
    }

    #[test]
    fn the_last_whole_line_counts() {
        let line = r#"{"date":"2026-11-12T03:04:05Z","results":[{"test":"pp128","tokensPerSecond":93.26}]}"#;
        assert_eq!(
            shown(&format!("x\n{line}\n{{\"da")).as_deref(),
            Some("pp128 93.3 (2026-11-12)")
        );
        assert_eq!(shown(""), None);
    }

    #[test]
    fn every_test_of_the_newest_run_is_shown() {
        let line = |run, test, speed| {
            format!(
                "{{\"run\":\"{run}\",\"date\":\"2026-11-12T03:04:05Z\",\
                 \"results\":[{{\"test\":\"{test}\",\"tokensPerSecond\":{speed}}}]}}\n"
            )
        };
        let text = [
            line("r1", "pp512", 1.0),
            line("r2", "pp128", 10.0),
            line("r2", "tg32", 5.0),
            line("r2", "pp128", 12.0),
            "{\"run\":\"r3\",\"re".to_owned(),
        ];
        assert_eq!(shown(&text.concat()).as_deref(), Some("pp128 11.0, tg32 5.0 (2026-11-12)"));
    }
}
