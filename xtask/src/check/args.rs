//! Arguments of `check`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::fleet::args::HostSelection;
use crate::ui::units::{parse_duration, parse_size};

#[derive(Debug, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    pub selection: HostSelection,
    /// Maximum number of parallel evaluators [default: by cores and memory]
    #[arg(short, long, value_name = "N")]
    pub jobs: Option<std::num::NonZeroUsize>,
    /// Memory limit of all evaluators together, for example 4G [default: most of what is free]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub max_memory: Option<u64>,
    /// Evaluate every host, even if nothing changed
    #[arg(long)]
    pub no_cache: bool,
    /// Evaluation timeout per host, such as 90s or 10m
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = parse_duration)]
    pub timeout: Duration,
    /// Check again whenever a file of the flake changes, edited hosts first, until Ctrl-C
    #[arg(long)]
    pub watch: bool,
    /// Also evaluate each host's whole system, including assertions (slow)
    #[arg(long)]
    pub full: bool,
    /// Also evaluate the flake's llama.cpp packages for every system
    #[arg(long)]
    pub all_systems: bool,
    /// Also write the report as JUnit XML, one case per host
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
}
