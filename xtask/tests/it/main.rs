//! The integration tests with real Nix: one binary, a file per command.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
#![allow(clippy::disallowed_methods, reason = "tests start the binary under test")]

mod support;

mod bench;
mod bench_all;
mod bench_faults;
mod bench_records;
mod bisect;
mod bisect_resume;
mod build_all;
mod build_faults;
mod build_keep;
mod build_retry;
mod builders;
mod check;
mod command_line;
mod completions;
mod docs;
mod evaluate;
mod evaluation_cache;
mod faults;
mod flake_inputs;
mod foreign;
mod github;
mod gpu;
mod guide;
mod isolation;
mod json_docs;
mod junit;
mod matrix;
mod new_host;
mod outcomes;
mod parts;
mod perf;
mod probe;
mod progress;
mod real;
mod report;
mod server;
mod setup;
mod sweep;
mod testbed;
mod tidy;
mod update;
mod update_faults;
mod update_partial;
mod update_real;
mod validate;
mod workflows;
