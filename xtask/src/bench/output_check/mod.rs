//! `--verify`: compares a variant's output with that of a plain build.

pub mod command;
pub mod rules;
