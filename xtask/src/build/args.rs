//! Arguments of `build-all`.

use std::path::PathBuf;

use clap::Args;

use crate::fleet::args::HostSelection;
use crate::ui::units::parse_seconds;

#[derive(Debug, Args)]
pub struct BuildAllArgs {
    #[command(flatten)]
    pub selection: HostSelection,
    /// Build only variants with this backend
    #[arg(long, value_name = "BACKEND", value_parser = ["cpu", "cuda", "vulkan", "rocm"])]
    pub backend: Option<String>,
    /// Build only the variants of these names
    #[arg(long, value_delimiter = ',', value_name = "VARIANT")]
    pub variant: Vec<String>,
    /// Also build the flake's own packages, portable ones for each backend
    #[arg(long)]
    pub packages: bool,
    /// Folder for links to the builds, which protect them from garbage collection
    /// [default: result/ beside flake.nix]
    #[arg(long, value_name = "FOLDER", conflicts_with = "no_link")]
    pub out_link: Option<PathBuf>,
    /// Do not create links
    #[arg(long)]
    pub no_link: bool,
    /// Copy the builds to this store, a URL as for `nix copy --to`
    #[arg(long, value_name = "STORE")]
    pub push: Option<String>,
    /// Show what would be built and fetched, then exit
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub limits: Limits,
    /// Remote builders, as in Nix's `builders` [default: nix.conf's]
    #[arg(long, value_name = "SPEC")]
    pub builders: Option<String>,
    /// Also write the report as JUnit XML, one case per variant
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    pub junit: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct LogArgs {
    /// Host whose build to show
    #[arg(value_name = "HOST")]
    pub host: String,
}

/// Nix's limits for builds.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct Limits {
    /// Maximum number of parallel builds (Nix's max-jobs) [default: by cores and memory]
    #[arg(short, long, alias = "max-jobs", value_name = "N")]
    pub jobs: Option<u32>,
    /// Cores per build (Nix's cores) [default: as many as memory allows]
    #[arg(long, value_name = "N")]
    pub cores: Option<u32>,
    /// Retry builds that failed because of the network or a lost builder
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub retry: u32,
    /// Timeout per build [default: nix.conf's]
    #[arg(long, value_name = "DURATION", value_parser = parse_seconds)]
    pub timeout: Option<u64>,
    /// Timeout per build without output [default: nix.conf's]
    #[arg(long, value_name = "DURATION", value_parser = parse_seconds)]
    pub max_silent_time: Option<u64>,
}
