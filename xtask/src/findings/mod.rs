//! Findings: problems that the user should fix, as values with a code.
//!
//! Entry points: `finding::Finding`, its registered `codes`; `view` prints findings, `explain`
//! a code; `outcome::Outcome` is a command's result.
//!
//! Imports: ui.

pub mod args;
pub mod codes;
pub mod explain;
pub mod finding;
pub mod outcome;
pub mod view;
