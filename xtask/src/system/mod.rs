//! Processes, files, locks and interrupts: everything that asks the operating system.
//!
//! Entry points: `process` starts programs, `files` and `disk` write, `interrupt` counts Ctrl-C,
//! `paths` finds the repository and the state.
//!
//! Imports: nothing.

pub mod background;
pub mod disk;
pub mod files;
pub mod git;
pub mod interrupt;
pub mod invocation;
pub mod json_lines;
pub mod machine_lock;
pub mod orphans;
pub mod paths;
pub mod process;
pub mod pty;
pub mod resources;
pub mod running;
pub mod termination;
pub mod usage;
