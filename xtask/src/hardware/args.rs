//! Arguments of `probe`.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
pub struct ProbeArgs {
    /// Host to probe over SSH, or `local`: this machine
    #[arg(value_name = "HOST")]
    pub host: Option<String>,
    /// Probe this machine
    #[arg(long)]
    pub local: bool,
    /// SSH destination to probe [default: the target in hosts/default.nix]
    #[arg(long, value_name = "DESTINATION", conflicts_with = "local")]
    pub target: Option<String>,
    /// Read this nixos-facter report instead of a machine
    #[arg(long, value_name = "FILE", conflicts_with_all = ["local", "target"])]
    pub facter: Option<PathBuf>,
    /// Write the facts to hosts/HOST/facts.json, for `check`
    #[arg(long)]
    pub write: bool,
}
