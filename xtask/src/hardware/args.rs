//! Arguments of `probe`.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
pub struct ProbeArgs {
    /// The host that is read, over SSH; `local`: this machine
    #[arg(value_name = "HOST")]
    pub host: Option<String>,
    /// Read this machine
    #[arg(long)]
    pub local: bool,
    /// Read this SSH destination instead of the fleet table's
    #[arg(long, value_name = "DESTINATION", conflicts_with = "local")]
    pub target: Option<String>,
    /// Read this report of nixos-facter in the machine's place
    #[arg(long, value_name = "FILE", conflicts_with_all = ["local", "target"])]
    pub facter: Option<PathBuf>,
    /// Keep what was seen in hosts/HOST/facts.json, for `check`
    #[arg(long)]
    pub write: bool,
}
