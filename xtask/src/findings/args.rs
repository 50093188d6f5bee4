//! Arguments of `explain`.

use clap::Args;

#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// Code of a finding, as shown in brackets; without: list all codes
    #[arg(value_name = "CODE")]
    pub code: Option<String>,
}
