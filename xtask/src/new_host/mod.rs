//! `new-host`: adds a machine to the fleet, configured from what `probe` reads on it.
//!
//! Entry points: `command::run`.
//!
//! Imports: system, ui, findings, nix, fleet, target, hardware.

pub mod args;
pub mod command;
pub mod configuration;
pub mod files;
pub mod machine;
