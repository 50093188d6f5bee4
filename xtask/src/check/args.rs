//! Arguments of `check`.

use std::path::PathBuf;

use clap::Args;

use crate::fleet::args::HostSelection;

#[derive(Debug, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    pub selection: HostSelection,
    /// How many evaluators may run at once; default: by cores and memory
    #[arg(long, value_name = "N")]
    pub jobs: Option<std::num::NonZeroUsize>,
    /// What all evaluators together may hold, for example 4G; default: most of what is free
    #[arg(long, value_name = "SIZE", value_parser = crate::check::batch::bytes)]
    pub max_memory: Option<u64>,
    /// Evaluate every host, also where nothing changed since it was evaluated
    #[arg(long)]
    pub no_cache: bool,
    /// Give a host's evaluation up after this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub timeout: u64,
    /// Evaluate all of each host too, its assertions among it (seconds and gigabytes a host)
    #[arg(long)]
    pub full: bool,
    /// Evaluate the flake's llama.cpp packages of every system too
    #[arg(long)]
    pub all_systems: bool,
    /// Write the report as JUnit XML too, a case for each host
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
}
