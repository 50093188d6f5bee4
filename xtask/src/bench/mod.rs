//! `bench` and `report`: whether a variant runs on its target, and how fast.
//!
//! Entry points: `command::run`; `measure` runs llama-bench once, `recorder` runs and stores the
//! rounds, `paired_run` runs several builds in turns, `baseline` compares with an earlier result,
//! `report` shows results over time.
//!
//! Imports: system, statistics, ui, findings, ci, nix, testbed, fleet, target, hardware, check, build, upstream.

mod all;
pub mod args;
pub mod baseline;
pub mod baseline_check;
pub mod canary_machine;
pub mod command;
pub mod compare;
pub mod comparison;
pub mod deploy;
pub mod document;
pub mod llama_bench;
pub mod machine;
pub mod measure;
pub mod measurement;
pub mod memory_bandwidth;
pub mod model;
pub mod offload;
pub mod output_check;
pub mod paired_run;
pub mod preflight;
pub mod preflight_rules;
pub mod recorder;
pub mod report;
pub mod results;
pub mod results_file;
pub mod session;
pub mod sweep;
pub mod target_state;
pub mod view;
