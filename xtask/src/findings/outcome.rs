//! How a command ended: with findings or without.

/// How a command ended when nothing broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Exit status 0.
    Well,
    /// Exit status 1: there is something for the user to mend.
    Findings,
}

impl Outcome {
    pub fn from_ok(ok: bool) -> Self {
        if ok { Self::Well } else { Self::Findings }
    }
}
