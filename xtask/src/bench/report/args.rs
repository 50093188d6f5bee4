//! Arguments of `report`.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Hosts to report [default: all hosts with results]
    #[arg(value_name = "HOST")]
    pub hosts: Vec<String>,
    /// Folder with the results files HOST.jsonl [default: bench/ beside flake.nix]
    #[arg(long, value_name = "FOLDER")]
    pub record: Option<PathBuf>,
    /// Write a self-contained HTML page; `-` is standard output
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Write Markdown tables; `-` is standard output
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
}
