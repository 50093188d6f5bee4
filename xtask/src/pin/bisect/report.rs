//! The journal of a bisection, from which it is resumed, and its report.
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
    /// Slower than the good end by this many percent; None for half the loss of the bad end.
    Bench(Option<f64>),
}

impl By {
    /// Parses the value of `--by`.
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

/// The verdict on a revision, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    pub verdict: Verdict,
    /// The first cause, unless the revision is good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<Failure>,
    /// With `--by bench`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured: Option<Measured>,
}

impl Judgement {
    pub const fn new(verdict: Verdict, why: Option<String>) -> Self {
        Self { verdict, why, failures: vec![], measured: None }
    }
}

/// A judged revision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    #[serde(flatten)]
    pub revision: Revision,
    #[serde(flatten)]
    pub judgement: Judgement,
    pub seconds: f64,
    /// Whether an earlier run judged it.
    #[serde(skip_deserializing, skip_serializing_if = "std::ops::Not::not")]
    pub earlier: bool,
}

/// The speed of a revision relative to the good end: 0.9 is ten percent slower.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    pub test: String,
    pub ratio: f64,
    /// The confidence interval of the ratio.
    pub low: f64,
    pub high: f64,
    /// A lower ratio is bad.
    pub limit: f64,
    pub rounds: usize,
}

/// The parameters of a search. The verdicts of a journal apply only to the same parameters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Question {
    pub flake: String,
    /// Hash of the fleet's files and lock file, without the pin.
    pub fleet: String,
    pub input: String,
    pub good: String,
    pub bad: String,
    pub hosts: Vec<HostName>,
    pub by: String,
    /// The machine of `--by bench`.
    pub target: Option<String>,
}

/// The state of a search that is saved between runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Journal {
    pub question: Question,
    pub steps: Vec<Step>,
}

/// Details of the first bad commit.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FirstBad {
    #[serde(flatten)]
    pub revision: Revision,
    pub author: String,
    pub subject: String,
    /// The number of changed files.
    pub files: usize,
    /// The changed files that are packaging.
    pub packaging: Vec<String>,
    /// The added and removed lines in packaging files.
    pub lines: Vec<String>,
    /// The number of commits since the newest good revision: those of a merge, or between two
    /// build tags.
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
    /// The number of revisions after the good end.
    pub revisions: usize,
    pub judged: Vec<Step>,
    pub first_bad: Option<FirstBad>,
    pub newest_good: Option<Revision>,
    /// The possible first bad revisions, if it cannot be determined.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<Revision>,
    pub findings: Vec<Finding>,
    /// `--apply`: whether flake.lock now has the newest good revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub applied: Option<bool>,
    pub ok: bool,
}

/// Whether a file determines what is built, and how.
pub fn is_packaging(file: &str) -> bool {
    let name = file.rsplit('/').next().unwrap_or(file);
    file.starts_with(".devops/nix/")
        || file == "flake.nix"
        || file == "flake.lock"
        || name == "CMakeLists.txt"
        || name.ends_with(".cmake")
        || file == "CMakePresets.json"
}

/// Estimates the seconds that the remaining steps take, from the median of the previous steps.
pub fn seconds_left(steps: &[Step], left: u32) -> Option<f64> {
    let seconds = steps.iter().filter(|step| !step.earlier).map(|step| step.seconds);
    Some(statistics::median(seconds)? * f64::from(left))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_is_parsed_and_printed() {
        for text in ["eval", "build", "bench", "bench:12.5"] {
            assert_eq!(By::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(By::parse("bench:10%"), Ok(By::Bench(Some(10.0))));
        for text in ["", "bench:", "bench:0", "bench:100", "bench:-3", "bench:NaN", "eval:3", "x"] {
            assert!(By::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn packaging_files_are_recognized() {
        let is = [".devops/nix/package.nix", "ggml/CMakeLists.txt", "CMakeLists.txt", "flake.nix"];
        assert!(is.iter().all(|file| is_packaging(file)));
        let not = ["README.md", ".devops/cuda.Dockerfile", "src/llama.cpp", "docs/CMakeLists.md"];
        assert!(!not.iter().any(|file| is_packaging(file)));
    }

    #[test]
    fn a_step_is_written_and_read() {
        let step = Step {
            revision: Revision { date: Some(1), ..Revision::of("a".repeat(40)) },
            judgement: Judgement::new(Verdict::Inconclusive, Some("x".into())),
            seconds: 1.5,
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
