//! Arguments of `report`.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Hosts, by name; none: every host that has been measured
    #[arg(value_name = "HOST")]
    pub hosts: Vec<String>,
    /// Read this folder's HOST.jsonl; default: where `bench` keeps its results
    #[arg(long, value_name = "FOLDER")]
    pub record: Option<PathBuf>,
    /// Write one self-contained HTML page; `-`: to standard output
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Write Markdown tables; `-`: to standard output
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
}
