//! Arguments of `bench --sweep`.

use std::time::Duration;

use clap::Args;

use crate::bench::sweep::grid::{Wanted, parse};
use crate::bench::sweep::search::Goal;
use crate::ui::units::parse_duration;

#[derive(Debug, Args)]
pub struct SweepArgs {
    /// Measure with each of these values of a llama-bench parameter: `ctk=q8_0,f16`, `t=1..8`,
    /// `t=1..16*2`; several times: all combinations
    #[arg(long, value_name = "NAME=VALUE,…", value_parser = parse, allow_hyphen_values = true, conflicts_with_all = ["save_baseline", "verify", "compare"])]
    pub sweep: Vec<Wanted>,
    /// Sweep for this long (90s, 10m, 2h), giving up the slower half again and again; without:
    /// all combinations in all rounds
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, requires = "sweep")]
    pub budget: Option<Duration>,
    /// What the best of a sweep is best at: both, prompt or generation
    #[arg(long, value_name = "WHAT", default_value = "both", value_parser = Goal::parse, requires = "sweep")]
    pub goal: Goal,
    /// Time one run of a sweep, say how long it would take, and stop there
    #[arg(long, requires = "sweep")]
    pub dry_run: bool,
    /// Start a sweep over instead of resuming an interrupted one
    #[arg(long, alias = "anew", requires = "sweep")]
    pub fresh: bool,
}
