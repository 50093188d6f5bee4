//! What the fleet is and what tools said of it, as values. Nothing here starts
//! a process, opens a file, reads a clock or writes to a terminal.

pub mod batch;
pub mod bench;
pub mod bisect;
pub mod bisect_report;
pub mod build;
pub mod build_progress;
pub mod build_report;
pub mod build_tracker;
pub mod build_words;
pub mod check;
pub mod compare;
pub mod compile_error;
pub mod cpu;
pub mod cpu_flags;
pub mod cpu_names;
pub mod derivation;
pub mod diagnose;
pub mod doctor;
pub mod era;
pub mod facter;
pub mod facts;
pub mod failure;
pub mod finding;
pub mod flake_ref;
pub mod gguf;
pub mod gpu_targets;
pub mod hardware;
pub mod history;
pub mod junit;
pub mod last_bench;
pub mod likeness;
pub mod llama_bench;
pub mod lock;
pub mod lock_rules;
pub mod log_tail;
pub mod manifest;
pub mod matrix;
pub mod microarch;
#[allow(dead_code, reason = "update and bisect are being written")]
pub mod moved_lock;
pub mod names;
pub mod nix_log;
pub mod offload;
pub mod parallel;
pub mod perf;
#[allow(dead_code, reason = "update and bisect are being written")]
pub mod pin;
pub mod plan;
pub mod preflight;
pub mod probe;
pub mod provision;
pub mod quantize;
pub mod recommend;
pub mod reuse;
pub mod smoke_model;
pub mod ssh;
pub mod surroundings;
pub mod tally;
pub mod transfers;
pub mod unequal_builds;
#[allow(dead_code, reason = "update and bisect are being written")]
pub mod upstream;
pub mod verify;
