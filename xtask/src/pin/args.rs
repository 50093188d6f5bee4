//! Arguments of `update`, `rollback` and `bisect`.

use clap::Args;

#[derive(Debug, Args)]
pub struct BisectArgs {
    /// A revision, tag or branch that is good; default: the one in flake.lock
    #[arg(long, value_name = "REV")]
    pub good: Option<String>,
    /// A later one that is bad; default: the newest of the branch that flake.nix names
    #[arg(long, value_name = "REV")]
    pub bad: Option<String>,
    /// Search for what breaks this host; `--by bench` needs one
    #[arg(long, value_name = "HOST")]
    pub host: Option<String>,
    /// What makes a revision bad: eval, build, bench or bench:PERCENT (slower by that much)
    #[arg(long, default_value = "eval", value_parser = crate::pin::bisect::report::By::parse)]
    pub by: crate::pin::bisect::report::By,
    /// Search llama.cpp's builds (tags bN) only, not each commit
    #[arg(long)]
    pub tags: bool,
    /// The input of the flake that is llama.cpp
    #[arg(long, value_name = "INPUT", default_value = "llama-cpp")]
    pub input: String,
    /// Lock the newest good revision, by the same transaction as `update`
    #[arg(long)]
    pub apply: bool,
    /// Start over instead of resuming
    #[arg(long, alias = "anew")]
    pub fresh: bool,
    /// With `--by bench`: measure on this SSH destination instead of the fleet table's
    #[arg(long, value_name = "DESTINATION", conflicts_with = "local")]
    pub target: Option<String>,
    /// With `--by bench`: measure the host's variant on this machine
    #[arg(long)]
    pub local: bool,
}

#[derive(Debug, Args)]
pub struct UpdateArgs {
    /// A build tag (b10453), a branch or a commit; default: the newest of the input's branch
    #[arg(long, value_name = "REVISION")]
    pub to: Option<String>,
    /// The input that is llama.cpp; of an input's own input: OUTER/INNER
    #[arg(long, value_name = "INPUT", default_value = "llama-cpp")]
    pub input: String,
    /// Also measure on these hosts, and refuse what is slower
    #[arg(long, value_name = "HOST", num_args = 1..)]
    pub bench: Vec<String>,
    /// Hosts that fail stay at the revision that they have; the others move
    #[arg(long)]
    pub allow_partial: bool,
    /// Commit flake.lock, with the report as the message
    #[arg(long)]
    pub commit: bool,
    /// Evaluate every host with it, and stop there
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Args)]
pub struct RollbackArgs {
    /// How many pins to go back
    #[arg(long, value_name = "N", default_value = "1")]
    pub to: std::num::NonZeroUsize,
    /// Show the pins that can be gone back to, and stop there
    #[arg(long)]
    pub list: bool,
    /// The input that is llama.cpp
    #[arg(long, value_name = "INPUT", default_value = "llama-cpp")]
    pub input: String,
}
