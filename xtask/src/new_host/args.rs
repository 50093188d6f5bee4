//! Arguments of `new-host`.

use clap::Args;

#[derive(Debug, Args)]
pub struct NewHostArgs {
    /// The host's name
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Read the machine at this SSH destination; default: this machine
    #[arg(long, value_name = "DESTINATION")]
    pub from: Option<String>,
    /// Where xtask will reach the host by SSH; default: as it was read, else its name
    #[arg(long, value_name = "DESTINATION")]
    pub target: Option<String>,
    /// Print the files, and stop there
    #[arg(long)]
    pub dry_run: bool,
}
