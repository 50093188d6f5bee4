//! `check`: evaluates every host's variant, and checks it against the fleet's rules.
//!
//! Entry points: `command::run`; `evaluation` evaluates hosts for every other command too.
//!
//! Imports: system, ui, findings, ci, nix, fleet, hardware.

pub mod args;
pub mod batch;
pub mod command;
pub mod edited;
pub mod eval_failure;
pub mod evaluation;
pub mod evaluator;
pub mod github;
pub mod host_facts;
pub mod junit;
pub mod lock_rules;
pub mod outcomes;
pub mod package_overrides;
pub mod report;
pub mod unequal_builds;
pub mod validation;
pub mod variant_rules;
pub mod view;
pub mod watch;
pub mod whole_systems;
