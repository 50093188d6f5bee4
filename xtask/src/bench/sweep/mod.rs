//! `bench --sweep`: runs llama-bench over a grid of its parameters.

pub mod args;
pub mod command;
pub mod grid;
pub mod journal;
pub mod report;
pub mod search;
pub mod server_flags;
pub mod view;
