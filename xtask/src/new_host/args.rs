//! Arguments of `new-host`.

use clap::Args;

#[derive(Debug, Args)]
pub struct NewHostArgs {
    /// Name of the host
    #[arg(value_name = "NAME")]
    pub name: String,
    /// SSH destination of the machine to probe [default: this machine]
    #[arg(long, value_name = "DESTINATION")]
    pub from: Option<String>,
    /// SSH destination of the host [default: --from's, or else its name]
    #[arg(long, value_name = "DESTINATION")]
    pub target: Option<String>,
    /// Print the files, then exit
    #[arg(long)]
    pub dry_run: bool,
}
