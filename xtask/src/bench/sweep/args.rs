//! Arguments of `bench --sweep`.

use std::time::Duration;

use clap::Args;

use crate::bench::sweep::grid::{ParameterValues, parse};
use crate::bench::sweep::search::Goal;
use crate::ui::units::parse_duration;

#[derive(Debug, Clone, Args)]
pub struct SweepArgs {
    /// Measure each value of a llama-bench parameter: `ctk=q8_0,f16`, `t=1..8`, `t=1..16*2`;
    /// repeat it to measure all combinations
    #[arg(long, value_name = "NAME=VALUE,…", value_parser = parse, allow_hyphen_values = true, conflicts_with_all = ["save_baseline", "verify", "record", "compare"])]
    pub sweep: Vec<ParameterValues>,
    /// Time for the sweep, such as 10m or 1h30m: drops the slower half repeatedly [default: all
    /// rounds of all combinations]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, requires = "sweep")]
    pub budget: Option<Duration>,
    /// What to optimize
    #[arg(long, value_name = "WHAT", value_enum, default_value = "both", requires = "sweep")]
    pub goal: Goal,
    /// Time one run, print how long the sweep would take, then exit
    #[arg(long, requires = "sweep")]
    pub dry_run: bool,
    /// Start a sweep over instead of resuming an interrupted one
    #[arg(long, alias = "anew", requires = "sweep")]
    pub fresh: bool,
}
