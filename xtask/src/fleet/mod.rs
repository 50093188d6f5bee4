//! A fleet: its hosts, their manifests, its pin files, and the context that most commands start
//! from.
//!
//! Entry points: `context::Context::open`, `queries` to the flake, `manifest::Manifest`.
//!
//! Imports: system, ui, findings, nix, testbed.

pub mod args;
pub mod build_numbers;
pub mod context;
pub mod eval_cache;
pub mod manifest;
pub mod names;
pub mod pinned_hosts;
pub mod queries;
pub mod state_file;
