//! `build-all` and `matrix`: every distinct variant, built once.
//!
//! Entry points: `command::run`, `matrix::run`, `run::build`. `early` begins builds while hosts are
//! being evaluated. `attempts` runs `nix_build` until there is nothing left to retry; `tracker`
//! updates the records of `derivations` from its log, and `view` draws them.
//!
//! Imports: system, statistics, ui, findings, ci, nix, testbed, fleet, hardware, check.

pub mod args;
pub mod attempts;
pub mod command;
pub mod compile_error;
pub mod derivations;
pub mod early;
pub mod estimates;
pub mod github;
pub mod history;
pub mod interrupted_build;
pub mod junit;
pub mod latest_logs;
pub mod log;
pub mod log_tail;
pub mod matrix;
pub mod nix_build;
pub mod packages;
pub mod parallel;
pub mod plan;
pub mod publish;
pub mod report;
pub mod retry;
pub mod run;
pub mod run_state;
pub mod tracker;
pub mod transfers;
pub mod variants;
pub mod view;
