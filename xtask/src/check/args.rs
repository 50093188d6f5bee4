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
    /// How many evaluators may run at once; default: by cores and memory
    #[arg(long, value_name = "N")]
    pub jobs: Option<std::num::NonZeroUsize>,
    /// What all evaluators together may hold, for example 4G; default: most of what is free
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub max_memory: Option<u64>,
    /// Evaluate every host, also where nothing changed since it was evaluated
    #[arg(long)]
    pub no_cache: bool,
    /// Evaluation timeout per host, such as 90s or 10m
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = parse_duration)]
    pub timeout: Duration,
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
