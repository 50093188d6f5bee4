//! Commands for this repository itself: `setup`, `demo`, `test`, `perf`.
//!
//! Entry points: `setup::run`, `demo::run`, `test::run`, `perf::run`.
//!
//! Imports: system, statistics, ui, findings, nix, testbed, fleet, target, hardware, check, build, bench.

pub mod args;
pub mod cuda;
pub mod debian;
pub mod demo;
pub mod perf;
pub mod pieces;
pub mod private_nix;
pub mod provision;
pub mod real_model;
pub mod rocm;
pub mod setup;
pub mod test;
pub mod toolkits;
pub mod vulkan;
