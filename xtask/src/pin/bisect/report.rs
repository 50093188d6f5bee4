//! What a bisection judged and found: its journal, so that it can go on later, and its
//! report.
//!
//! Pure: no I/O, no clock.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::findings::finding::Finding;
use crate::fleet::names::HostName;
use crate::nix::flake_input::Revision;
use crate::pin::bisect::failure::Failure;
use crate::pin::bisect::search::Verdict;
use crate::statistics;

/// What makes a revision bad.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum By {
    Eval,
    Build,
    /// Slower than the good end by this many percent; none: by half of what the bad end is.
    Bench(Option<f64>),
}

impl By {
    /// As it is typed after `--by`.
    ///
    /// # Errors
    /// A sentence that says what can be typed.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "eval" => Ok(Self::Eval),
            None if text == "build" => Ok(Self::Build),
            None if text == "bench" => Ok(Self::Bench(None)),
            Some(("bench", percent)) => match percent.trim_end_matches('%').parse::<f64>() {
                Ok(percent) if percent > 0.0 && percent < 100.0 => Ok(Self::Bench(Some(percent))),
                _ => Err(format!("{percent:?} is not a percentage between 0 and 100")),
            },
            _ => Err("expected eval, build, bench or bench:PERCENT".to_owned()),
        }
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Eval => f.write_str("eval"),
            Self::Build => f.write_str("build"),
            Self::Bench(None) => f.write_str("bench"),
            Self::Bench(Some(percent)) => write!(f, "bench:{percent}"),
        }
    }
}

/// One revision, judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    #[serde(flatten)]
    pub revision: Revision,
    pub verdict: Verdict,
    pub seconds: f64,
    /// What was seen, where it is not simply good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// In what ways it fails.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<Failure>,
    /// `--by bench`: how fast it is beside the good end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<Measured>,
    /// An earlier run judged it.
    #[serde(skip_deserializing, skip_serializing_if = "std::ops::Not::not")]
    pub earlier: bool,
}

/// How fast a revision is in terms of the good end: 0.9 is ten percent slower.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    pub test: String,
    pub ratio: f64,
    /// The interval that holds it.
    pub low: f64,
    pub high: f64,
    /// Below it counts as bad.
    pub limit: f64,
    pub rounds: usize,
}

/// What a journal is about. Verdicts of another are worth nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Question {
    pub flake: String,
    /// Of all files of the fleet but its lock.
    pub fleet: String,
    pub input: String,
    pub good: String,
    pub bad: String,
    pub hosts: Vec<HostName>,
    pub by: String,
}

/// What is kept between runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Journal {
    pub question: Question,
    pub steps: Vec<Step>,
}

/// The first bad commit, for a person to read.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FirstBad {
    #[serde(flatten)]
    pub revision: Revision,
    pub author: String,
    pub subject: String,
    /// How many files it changes, and those among them that make the package.
    pub files: usize,
    pub packaging: Vec<String>,
    /// What it changes in those: added and removed lines.
    pub lines: Vec<String>,
    /// Commits that came with it: of a merge, or between two builds.
    pub commits: u64,
    pub cause: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BisectReport {
    pub schema: u32,
    pub command: &'static str,
    pub good: Revision,
    pub bad: Revision,
    pub by: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<HostName>,
    /// How many revisions there are to choose from, the good end not among them.
    pub revisions: usize,
    pub judged: Vec<Step>,
    pub first_bad: Option<FirstBad>,
    pub newest_good: Option<Revision>,
    /// Where it could not be told which is the first: one of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<Revision>,
    pub findings: Vec<Finding>,
    /// `--apply`: whether the newest good revision is locked now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub applied: Option<bool>,
    pub ok: bool,
}

/// The files whose change a fleet feels most: what is built, and how.
pub fn is_packaging(file: &str) -> bool {
    let name = file.rsplit('/').next().unwrap_or(file);
    file.starts_with(".devops/nix/")
        || file == "flake.nix"
        || file == "flake.lock"
        || name == "CMakeLists.txt"
        || name.ends_with(".cmake")
        || file == "CMakePresets.json"
}

/// Returns the seconds that the remaining steps will take, by the median of those so far.
pub fn seconds_left(steps: &[Step], left: u32) -> Option<f64> {
    let seconds = steps.iter().filter(|step| !step.earlier).map(|step| step.seconds);
    Some(statistics::median(seconds)? * f64::from(left))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_after_by() {
        for text in ["eval", "build", "bench", "bench:12.5"] {
            assert_eq!(By::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(By::parse("bench:10%"), Ok(By::Bench(Some(10.0))));
        for text in ["", "bench:", "bench:0", "bench:100", "bench:-3", "bench:NaN", "eval:3", "x"] {
            assert!(By::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn packaging_is_told_from_the_rest() {
        let is = [".devops/nix/package.nix", "ggml/CMakeLists.txt", "CMakeLists.txt", "flake.nix"];
        assert!(is.iter().all(|file| is_packaging(file)));
        let not = ["README.md", ".devops/cuda.Dockerfile", "src/llama.cpp", "docs/CMakeLists.md"];
        assert!(!not.iter().any(|file| is_packaging(file)));
    }

    #[test]
    fn a_step_is_kept_and_read_again() {
        let step = Step {
            revision: Revision { rev: "a".repeat(40), date: Some(1), build: None },
            verdict: Verdict::Inconclusive,
            seconds: 1.5,
            why: Some("x".into()),
            failures: vec![],
            measured: None,
            earlier: true,
        };
        let text = serde_json::to_string(&step).unwrap();
        assert!(text.contains("\"verdict\":\"untold\"") && text.contains("\"rev\""), "{text}");
        let again: Step = serde_json::from_str(&text).unwrap();
        assert_eq!(again, Step { earlier: false, ..step.clone() });
        assert_eq!(seconds_left(&[again], 3), Some(4.5));
        assert_eq!(seconds_left(&[step], 3), None);
    }
}
