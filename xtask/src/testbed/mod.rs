//! The testbed: stand-ins for the flake inputs, and llama.cpp's real trees.
//!
//! Entry points: `inputs::lock_file` makes the lock file that puts the stand-ins in place.
//!
//! Imports: system, nix.

pub mod inputs;
pub mod llama_tree;
pub mod lock_creation;
pub mod lock_file;
pub mod pypi;
pub mod revision;
pub mod toolkits;
