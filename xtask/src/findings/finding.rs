//! A problem that the user should fix, in the form of a compiler's message.
//!
//! Pure: no I/O, no clock.

use std::fmt;

use serde::Serialize;

use crate::findings::codes;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Note,
    Warning,
    Error,
}

impl Severity {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// One of [`codes`]: stable, for programs.
    pub code: &'static str,
    pub severity: Severity,
    pub message: String,
    /// What to do.
    pub help: String,
    /// A file in the user's repository, relative to its root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Counted from 1, in bytes, as in Nix.
    #[serde(skip)]
    pub column: Option<u32>,
}

impl Finding {
    fn new(severity: Severity, code: &'static str, message: String, help: String) -> Self {
        debug_assert!(codes::find(code).is_some(), "add `{code}` to findings/codes.txt");
        Self { code, severity, message, help, file: None, line: None, column: None }
    }

    pub fn error(code: &'static str, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, message.into(), help.into())
    }

    pub fn warning(
        code: &'static str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self::new(Severity::Warning, code, message.into(), help.into())
    }

    pub fn note(code: &'static str, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::new(Severity::Note, code, message.into(), help.into())
    }

    /// Returns the finding with a file of the user's repository.
    pub fn at(self, file: impl Into<String>) -> Self {
        Self { file: Some(file.into()), ..self }
    }

    /// Returns whether something outside the fleet cannot be reached: the network, a target, the
    /// Nix daemon.
    pub fn is_unavailable(&self) -> bool {
        self.code.starts_with("ssh-")
            || ["fetch", "unreachable", "no-daemon", "foreign-store"].contains(&self.code)
    }

    /// Returns whether another host has the same problem. The help may differ: it names the host's
    /// log. Something that only the testbed lacks is one problem, wherever it is used.
    pub fn is_same(&self, other: &Self) -> bool {
        (self.code, self.severity, &self.message) == (other.code, other.severity, &other.message)
            && ((&self.file, self.line, self.column) == (&other.file, other.line, other.column)
                || self.help.starts_with(WITHOUT_TESTBED))
    }

    /// Returns the file and line, as far as known, such as `hosts/boron/default.nix:12`.
    pub fn place(&self) -> Option<String> {
        let file = self.file.as_ref()?;
        Some(self.line.map_or_else(|| file.clone(), |line| format!("{file}:{line}")))
    }
}

/// A value, or what the user should fix first. A finding is also an [`anyhow::Error`], so that it
/// passes through functions that can fail in other ways; [`or_finding`] separates the two.
pub type Checked<T> = Result<T, Finding>;

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.message, self.help)
    }
}

impl std::error::Error for Finding {}

/// Separates findings from other errors.
pub fn or_finding<T>(outcome: anyhow::Result<T>) -> anyhow::Result<Checked<T>> {
    match outcome {
        Ok(value) => Ok(Ok(value)),
        Err(error) => error.downcast().map(Err),
    }
}

/// The beginning of the help if only the testbed lacks something.
pub const WITHOUT_TESTBED: &str = "check this fleet without `--testbed`";

/// Merges findings that several hosts have, each given with its host or other place.
pub fn grouped<'a>(
    findings: impl IntoIterator<Item = (String, &'a Finding)>,
) -> Vec<(String, &'a Finding)> {
    let mut groups: Vec<(Vec<String>, &Finding)> = vec![];
    for (place, finding) in findings {
        match groups.iter_mut().find(|(_, known)| known.is_same(finding)) {
            Some((places, _)) => places.push(place),
            None => groups.push((vec![place], finding)),
        }
    }
    groups.into_iter().map(|(places, finding)| (abridged(&places), finding)).collect()
}

/// Formats names as `h1, h2, h3, h4 and 26 more`.
pub fn abridged(names: &[String]) -> String {
    const SHOWN: usize = 4;
    match names.len().saturating_sub(SHOWN) {
        0 | 1 => names.join(", "),
        more => format!("{} and {more} more", names[..SHOWN].join(", ")),
    }
}

/// Returns whether there are only warnings and notes.
pub fn none_is_an_error(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.severity < Severity::Error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_findings_of_several_hosts_are_merged() {
        let at = |line: u32, help: &str| Finding {
            line: Some(line),
            ..Finding::error("unknown-option", "x does not exist", help).at("a.nix")
        };
        let lacking = format!("{WITHOUT_TESTBED}: it has few options");
        let findings = [
            at(1, "check the spelling (trace: a.log)"),
            at(1, "check the spelling (trace: b.log)"),
            // Another mistake.
            at(2, "check the spelling"),
            // What the testbed lacks, in two places.
            Finding { message: "y does not exist".into(), ..at(3, &lacking) },
            Finding { message: "y does not exist".into(), ..at(4, &lacking) },
        ];
        let places = ('a'..).map(|name| name.to_string());
        let groups = grouped(places.zip(&findings));
        let shown: Vec<_> = groups.iter().map(|(places, it)| (places.as_str(), it.line)).collect();
        assert_eq!(shown, [("a, b", Some(1)), ("c", Some(2)), ("d, e", Some(3))]);
        let names: Vec<String> = (0..9).map(|at| format!("h{at}")).collect();
        assert_eq!(abridged(&names), "h0, h1, h2, h3 and 5 more");
    }
}
