//! The pinned llama.cpp revision: `update`, `rollback`, `bisect`.
//!
//! Entry points: `update::run`, `rollback::run`, `bisect::run`; `lock_transaction` replaces
//! flake.lock.
//!
//! Imports: system, statistics, ui, findings, nix, testbed, fleet, target, hardware, check, build, upstream,
//! bench.

pub mod args;
pub mod bisect;
pub mod drift;
pub mod journal;
pub mod lock_transaction;
pub mod rollback;
pub mod source_surface;
pub mod update;
