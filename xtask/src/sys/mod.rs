//! The world outside: processes, files, Nix, SSH. Everything that can block or
//! fail for reasons of its surroundings; nothing here draws.

// Tests alone need a server of their own.
pub mod answers;
#[cfg(test)]
pub mod background;
pub mod bench_files;
pub mod bench_log;
pub mod build_fleet;
pub mod build_log;
pub mod builders;
pub mod debian;
pub mod derivation;
pub mod disk;
pub mod ending;
pub mod evaluator;
pub mod files;
pub mod first_lock;
pub mod flake;
pub mod fleet_copy;
pub mod git;
pub mod history;
pub mod interrupt;
pub mod invocation;
pub mod journal;
pub mod likeness;
pub mod llama_tree;
pub mod lock;
pub mod lock_transaction;
pub mod main_line;
pub mod model;
pub mod nix;
pub mod nix_tools;
pub mod orphans;
pub mod paths;
pub mod private_nix;
pub mod probe;
pub mod process;
pub mod provision;
pub mod real_fleet;
pub mod records;
pub mod roots;
pub mod settings;
pub mod snapshot;
#[cfg(test)]
pub mod sshd;
pub mod store;
pub mod surface;
pub mod survey;
pub mod systems;
pub mod target;
pub mod terminal;
pub mod testbed;
pub mod tree_copy;
pub mod unfinished;
pub mod upstream;
pub mod usage;
