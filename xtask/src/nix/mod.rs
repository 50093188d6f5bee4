//! Nix: the program, its store, its evaluator's errors, lock files and its log.
//!
//! Entry points: `program::Nix` is the program, `flake::Flake` what is evaluated, `store` what is
//! valid, `log` the internal-json reader.
//!
//! Imports: system, ui, findings.

pub mod builders;
pub mod cache_key;
pub mod derivation;
pub mod derivation_graph;
pub mod diagnosis;
pub mod flake;
pub mod flake_input;
pub mod flake_ref;
pub mod gc_roots;
pub mod lockfile;
pub mod log;
pub mod machines;
pub mod names;
pub mod program;
pub mod snapshot;
pub mod store;
pub mod tree_copy;
