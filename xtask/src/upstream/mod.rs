//! Upstream's revisions of llama.cpp, and the fleet as it would be with one of them.
//!
//! Entry points: `revision` resolves what was typed, `trial_fleet` makes the fleet.
//!
//! Imports: system, ui, findings, nix, fleet, check, build.

pub mod changes;
pub mod history;
pub mod revision;
pub mod trial_fleet;
