//! CPUs, GPUs and microarchitectures, and which variants fit which machines.
//!
//! Entry points: `probe` reads a machine into `facts::Facts`; `microarch::Table` is the
//! microarchitecture table; `rules` compares a variant with facts; `recommendation` derives
//! module options from facts.
//!
//! Imports: system, ui, findings, nix, fleet, target.

pub mod args;
pub mod build_flags;
pub mod cmake_line;
pub mod cores;
pub mod cpu;
pub mod cpu_flags;
pub mod cpu_names;
pub mod cpu_rules;
pub mod facter;
pub mod facts;
pub mod gpu_targets;
pub mod instructions;
pub mod kv_cache;
pub mod microarch;
pub mod nvidia;
pub mod pci;
pub mod probe;
pub mod probe_output;
pub mod probe_script;
pub mod recommendation;
pub mod rules;
pub mod threads;
pub mod view;
pub mod vulkan;

#[cfg(test)]
mod unknown_tests;
