//! Upstream's revisions of llama.cpp, and trial fleets with one of them.
//!
//! Entry points: `revision` resolves revisions, `trial_fleet` creates trial fleets.
//!
//! Imports: system, ui, findings, nix, fleet, check, build.

pub mod changes;
pub mod history;
pub mod revision;
pub mod trial_fleet;
