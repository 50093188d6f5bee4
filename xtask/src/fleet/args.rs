//! Arguments that every command takes, and the hosts it is about.

use clap::Args;

use crate::testbed::revision::Era;
use crate::ui::args::OutputArgs;

/// Options that every command takes.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// The fleet's flake; default: the flake.nix of this folder or of one above it
    #[arg(long, global = true, value_name = "REF")]
    pub flake: Option<String>,
    /// Use the stand-in inputs under testbed/, of llama.cpp's new or old era
    #[arg(long, global = true, value_name = "ERA", num_args = 0..=1, require_equals = true, default_missing_value = "new")]
    pub testbed: Option<Era>,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Which hosts a command is about.
#[derive(Debug, Clone, Args)]
pub struct HostSelection {
    /// Hosts, by name; none: the whole fleet
    #[arg(value_name = "HOST")]
    pub hosts: Vec<String>,
}
