//! The one `nix build` over all derivations, followed event by event.

use anyhow::Result;

use crate::cmd::build_all::Limits;
use crate::cmd::build_all::follow::{Follower, Stopwatch};
use crate::cmd::context::Context;
use crate::domain::build::Build;
use crate::domain::build_progress::Expected;
use crate::domain::build_tracker::Tracker;
use crate::sys::build_log::BuildLogs;
use crate::sys::process::{self, Source};

pub fn run(
    context: &Context,
    builds: &[&Build],
    limits: Limits,
    expected: Expected,
    tracker: &mut Tracker,
    logs: &mut BuildLogs,
    seconds: &mut Stopwatch,
) -> Result<()> {
    let nix = &context.flake.nix;
    let mut call = nix
        .command(["build", "--no-link", "--keep-going", "--log-format", "internal-json"])
        .args(builds.iter().map(|build| build.drv.all_outputs()));
    for (option, value) in [
        ("--max-jobs", limits.max_jobs.map(u64::from)),
        ("--cores", limits.cores.map(u64::from)),
        ("--timeout", limits.timeout),
        ("--max-silent-time", limits.max_silent_time),
    ] {
        if let Some(value) = value {
            call = call.args([option.to_owned(), value.to_string()]);
        }
    }
    context.ui.detail(format!("$ {call}"));
    let mut follower = Follower::start(context, builds, expected, tracker, logs, seconds);
    process::stream(&call, None, &mut |source, line| {
        if source == Source::Stderr {
            follower.line(line);
        }
    })?;
    let errors = follower.finish()?;
    if tracker.idle() {
        for error in &errors {
            context.ui.complain(format!("nix: {}", error));
        }
    }
    Ok(())
}
