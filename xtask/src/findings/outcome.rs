//! A command's result: with or without findings; and what `--json` prints if the command ended
//! before its report.

use serde::Serialize;

use crate::findings::finding::{Finding, Severity};

/// The result of a command that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Exit status 0.
    Ok,
    /// Exit status 1: there is something for the user to fix.
    Findings,
    /// Exit status 2: the network or the target cannot be reached, so there is no result.
    Unavailable,
}

/// The document of a command that failed or was interrupted, or that has no other document.
#[derive(Debug, Serialize)]
pub struct Ended {
    pub schema: u32,
    /// Null if the command line names no command.
    pub command: Option<String>,
    /// Why there is no report: the error, or that the user interrupted the command.
    pub error: Option<String>,
    pub ok: bool,
}

impl Ended {
    pub fn new(command: Option<String>, error: Option<String>) -> Self {
        let ok = error.is_none();
        Self { schema: 1, command, error, ok }
    }
}

impl Outcome {
    pub fn from_ok(ok: bool) -> Self {
        if ok { Self::Ok } else { Self::Findings }
    }

    /// Returns the outcome of a command with these findings: unavailable if it is not `ok` only
    /// because something cannot be reached.
    pub fn new<'a>(ok: bool, findings: impl IntoIterator<Item = &'a Finding>) -> Self {
        let errors = findings.into_iter().filter(|it| it.severity == Severity::Error);
        let mut errors = errors.peekable();
        let unavailable = errors.peek().is_some() && errors.all(Finding::is_unavailable);
        if !ok && unavailable { Self::Unavailable } else { Self::from_ok(ok) }
    }
}
