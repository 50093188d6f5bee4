//! What the tracker reports of a `nix build`.
//!
//! Pure: no I/O, no clock.

use crate::nix::names::{DrvPath, StorePath};

/// One change, for the progress display and the logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Update {
    Started {
        drv: DrvPath,
        machine: String,
    },
    Phase {
        drv: DrvPath,
        phase: String,
    },
    /// Steps of ninja done and in all; neither decreases.
    Fraction {
        drv: DrvPath,
        done: u32,
        total: u32,
    },
    Line {
        drv: DrvPath,
        line: String,
    },
    /// Each `Started` has at most one, whatever became of the build.
    Stopped {
        drv: DrvPath,
    },
    /// Once for each build that failed, after its `Stopped`.
    Failed {
        drv: DrvPath,
        tail: Vec<String>,
    },
    Substituting {
        path: StorePath,
    },
    /// The fetching of a path ended, successfully or not.
    Substituted {
        path: StorePath,
    },
    /// Bytes from binary caches; neither decreases.
    Fetched {
        bytes: u64,
        of: u64,
    },
    /// How many builds Nix has announced, finished ones included.
    Expecting {
        builds: u64,
    },
    Message {
        level: u64,
        text: String,
    },
}
