//! How a command ended: with findings or without; and what `--json` prints where it ended before
//! its report.

use serde::Serialize;

use crate::findings::finding::{Finding, Severity};

/// How a command ended when nothing broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Exit status 0.
    Ok,
    /// Exit status 1: there is something for the user to fix.
    Findings,
    /// Exit status 2: the network or the target cannot be reached, so that nothing is known.
    Unavailable,
}

/// The document of a command that broke or was interrupted, and of one that has no result of
/// its own.
#[derive(Debug, Serialize)]
pub struct Ended {
    pub schema: u32,
    /// Null if the command line has none.
    pub command: Option<String>,
    /// Why there is no report: what broke, or that the user stopped it.
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

    /// With the findings that explain why it is not `ok`.
    pub fn new<'a>(ok: bool, findings: impl IntoIterator<Item = &'a Finding>) -> Self {
        let mut errors = findings.into_iter().filter(|it| it.severity == Severity::Error);
        let mut unavailable = errors.by_ref().take_while(|it| it.is_unavailable()).count() > 0;
        unavailable &= errors.next().is_none();
        if !ok && unavailable { Self::Unavailable } else { Self::from_ok(ok) }
    }
}
