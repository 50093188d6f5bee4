//! Arguments of `bench --sweep`.

use std::time::Duration;

use clap::Args;

use crate::bench::sweep::grid::{Wanted, parse};
use crate::bench::sweep::search::Goal;

#[derive(Debug, Args)]
pub struct SweepArgs {
    /// Measure with each of these values of a llama-bench parameter: `ctk=q8_0,f16`, `t=1..8`,
    /// `t=1..16*2`; several times: all combinations
    #[arg(long, value_name = "NAME=VALUE,…", value_parser = parse, allow_hyphen_values = true, conflicts_with_all = ["save_baseline", "verify", "compare"])]
    pub sweep: Vec<Wanted>,
    /// Sweep for this long (90s, 10m, 2h), giving up the slower half again and again; without:
    /// all combinations in all rounds
    #[arg(long, value_name = "TIME", value_parser = time, requires = "sweep")]
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

/// `90s`, `10m`, `2h`; a bare number is seconds.
fn time(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.find(|c: char| !c.is_ascii_digit()) {
        Some(at) => text.split_at(at),
        None => (text, "s"),
    };
    let seconds = match unit {
        "s" => Some(1),
        "m" | "min" => Some(60),
        "h" => Some(3600),
        _ => None,
    };
    let number: Option<u64> = number.parse().ok().filter(|number| *number > 0);
    number
        .zip(seconds)
        .and_then(|(number, seconds)| number.checked_mul(seconds))
        .filter(|seconds| *seconds <= 30 * 24 * 3600)
        .map(Duration::from_secs)
        .ok_or_else(|| "write it as 90s, 10m or 2h, a month at most".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit() {
        assert_eq!(time("10m"), Ok(Duration::from_secs(600)));
        assert_eq!(time("90"), Ok(Duration::from_secs(90)));
        for wrong in ["", "m", "0s", "-1s", "1d", "1.5h", "99999999999999999999h", "999999h"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }
}
