//! `doctor`: checks Nix and this machine, and suggests fixes.
//!
//! Entry points: `command::run`; `diagnostics` queries, `rules` decides.
//!
//! Imports: system, ui, findings, nix, testbed, fleet, target, hardware, check, dev.

pub mod command;
pub mod diagnostics;
pub mod rules;
