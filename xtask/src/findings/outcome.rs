//! How a command ended: with findings or without.

/// How a command ended when nothing broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Exit status 0.
    Ok,
    /// Exit status 1: there is something for the user to fix.
    Findings,
}

impl Outcome {
    pub fn from_ok(ok: bool) -> Self {
        if ok { Self::Ok } else { Self::Findings }
    }
}
