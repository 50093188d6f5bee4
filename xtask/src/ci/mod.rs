//! Reports for a CI system: annotations, a step summary, JUnit XML.
//!
//! Entry points: `run::run` wraps a command; `github` and `junit` render.
//!
//! Imports: system, ui, findings.

pub mod github;
pub mod junit;
pub mod run;
