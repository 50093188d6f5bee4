//! `--verify`: a variant's output compared with that of a plain build.

pub mod command;
pub mod rules;
