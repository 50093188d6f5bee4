//! Arguments of `build-all`.

use std::path::PathBuf;

use clap::Args;

use crate::fleet::args::HostSelection;

#[derive(Debug, Args)]
pub struct BuildAllArgs {
    #[command(flatten)]
    pub selection: HostSelection,
    /// Only variants that have this backend
    #[arg(long, value_name = "BACKEND", value_parser = ["cpu", "cuda", "vulkan", "rocm"])]
    pub backend: Option<String>,
    /// Only the variant of this name; may be given several times
    #[arg(long, value_name = "NAME")]
    pub variant: Vec<String>,
    /// Build the flake's own packages too, portable ones for each backend
    #[arg(long)]
    pub packages: bool,
    /// Where to link what was built, so that no garbage collection takes it; default: result/
    /// beside flake.nix
    #[arg(long, value_name = "FOLDER", conflicts_with = "no_link")]
    pub out_link: Option<PathBuf>,
    /// Leave no links
    #[arg(long)]
    pub no_link: bool,
    /// Copy what was built to this store, a URL as `nix copy --to` takes it
    #[arg(long, value_name = "STORE")]
    pub push: Option<String>,
    /// Show what would be built and fetched, and stop there
    #[arg(long)]
    pub dry_run: bool,
    /// How many builds may run at once (Nix's max-jobs); default: by cores and memory
    #[arg(long, value_name = "N")]
    pub max_jobs: Option<u32>,
    /// How many cores one build may use (Nix's cores); default: all that memory bears
    #[arg(long, value_name = "N")]
    pub cores: Option<u32>,
    /// Machines that build, as in Nix's `builders`; default: nix.conf's
    #[arg(long, value_name = "SPEC")]
    pub builders: Option<String>,
    /// Try again what failed for want of network or of a builder, as often as this
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub retry: u32,
    /// Give one build up after this many seconds; default: nix.conf's
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub timeout: Option<u64>,
    /// Give one build up after this many seconds without a line; default: nix.conf's
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_silent_time: Option<u64>,
    /// Write the report as JUnit XML too, a case for each variant
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    pub junit: Option<PathBuf>,
}
