//! Findings: what the user should fix, as values with a code.
//!
//! Entry points: `finding::Finding` is one; `view` prints it; `outcome::Outcome` is how a command
//! ended.
//!
//! Imports: ui.

pub mod finding;
pub mod outcome;
pub mod view;
