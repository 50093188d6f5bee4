//! Arguments of `update`, `rollback` and `bisect`.

use std::num::NonZeroUsize;

use clap::Args;

use crate::pin::bisect::report::By;

#[derive(Debug, Args)]
pub struct BisectArgs {
    /// Revision, tag or branch that is good [default: the one in flake.lock]
    #[arg(long, value_name = "REV")]
    pub good: Option<String>,
    /// Later revision that is bad [default: the newest of the branch in flake.nix]
    #[arg(long, value_name = "REV")]
    pub bad: Option<String>,
    /// Search for what breaks this host; required by `--by bench`
    #[arg(long, value_name = "HOST")]
    pub host: Option<String>,
    /// Test for a bad revision: eval, build, bench, or bench:PERCENT (slower by that much)
    #[arg(long, default_value = "eval", value_parser = By::parse)]
    pub by: By,
    /// Search only llama.cpp's build tags (bN), not every commit
    #[arg(long)]
    pub tags: bool,
    /// Search only llama.cpp's releases (vX.Y.Z)
    #[arg(long, conflicts_with = "tags")]
    pub releases: bool,
    /// Name of the llama.cpp input; OUTER/INNER for an input of an input [default: the first in
    /// flake.lock]
    #[arg(long, value_name = "INPUT")]
    pub input: Option<String>,
    /// Update flake.lock to the newest good revision, as `update` does
    #[arg(long)]
    pub apply: bool,
    /// Start over instead of resuming
    #[arg(long, alias = "anew")]
    pub fresh: bool,
    /// SSH destination to measure on, with `--by bench` [default: the target in hosts/default.nix]
    #[arg(long, value_name = "DESTINATION", conflicts_with = "local")]
    pub target: Option<String>,
    /// Measure on this machine, with `--by bench`
    #[arg(long)]
    pub local: bool,
}

#[derive(Debug, Args)]
pub struct UpdateArgs {
    /// Release (v0.7.0), build tag (b10453), branch or commit [default: the newest of the input's
    /// branch]
    #[arg(long, value_name = "REVISION", conflicts_with = "stable")]
    pub to: Option<String>,
    /// Update to the newest release
    #[arg(long)]
    pub stable: bool,
    /// Name of the llama.cpp input; OUTER/INNER for an input of an input [default: the first in
    /// flake.lock]
    #[arg(long, value_name = "INPUT")]
    pub input: Option<String>,
    /// Also measure on these hosts, and reject a slower revision
    #[arg(long, value_name = "HOST,…", num_args = 1.., value_delimiter = ',')]
    pub bench: Vec<String>,
    /// Pin hosts that fail at their current revision, and update the others
    #[arg(long)]
    pub allow_partial: bool,
    /// Commit flake.lock with the report as the message
    #[arg(long)]
    pub commit: bool,
    /// Evaluate every host with the new revision, then exit
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Args)]
pub struct RollbackArgs {
    /// Number of pins to go back
    #[arg(long, alias = "to", value_name = "N", default_value = "1")]
    pub steps: NonZeroUsize,
    /// List the earlier pins, then exit
    #[arg(long)]
    pub list: bool,
    /// Name of the llama.cpp input; OUTER/INNER for an input of an input [default: the first in
    /// flake.lock]
    #[arg(long, value_name = "INPUT")]
    pub input: Option<String>,
}
