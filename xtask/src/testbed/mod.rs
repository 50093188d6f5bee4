//! The testbed: stand-ins for the flake inputs, and llama.cpp's real trees.
//!
//! Entry points: `inputs::lock_file` creates the lock file that replaces the inputs by stand-ins.
//!
//! Imports: system, nix.

pub mod inputs;
pub mod llama_tree;
pub mod lock_creation;
pub mod lock_file;
pub mod pypi;
pub mod revision;
pub mod toolkits;
