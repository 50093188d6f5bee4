//! Arguments of all commands, and the selection of hosts.

use clap::Args;

use crate::testbed::revision::TestbedRevision;
use crate::ui::args::OutputArgs;

/// Options of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Flake of the fleet [default: the flake.nix of this folder or a parent]
    #[arg(long, global = true, value_name = "REF")]
    pub flake: Option<String>,
    /// Use the stand-in inputs in testbed/, with this revision of llama.cpp
    #[arg(long, global = true, value_name = "REVISION", num_args = 0..=1, require_equals = true, default_missing_value = "new")]
    pub testbed: Option<TestbedRevision>,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// The hosts to process.
#[derive(Debug, Clone, Args)]
pub struct HostSelection {
    /// Names of hosts [default: all hosts]
    #[arg(value_name = "HOST")]
    pub hosts: Vec<String>,
}
