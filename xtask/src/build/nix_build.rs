//! The one `nix build` over all derivations, followed event by event.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::build::attempts::Ran;
use crate::build::command::Limits;
use crate::build::follow::Follower;
use crate::build::progress::Expected;
use crate::build::variants::Build;
use crate::fleet::context::Context;
use crate::nix::builders;
use crate::nix::names::DrvPath;
use crate::system::orphans;
use crate::system::process::{self, Exit, Heard, Source, Then};

/// How one run of Nix ended, and what it complained of.
pub struct Ended {
    pub errors: Vec<String>,
    /// A build that had its time, for which Nix was ended.
    pub given_up: Option<(DrvPath, String)>,
    /// Nix ended with a status, neither by Ctrl-C nor killed.
    pub by_itself: bool,
}

pub fn run(
    context: &Context,
    builds: &[&Build],
    limits: &Limits,
    expected: BTreeMap<DrvPath, Expected>,
    ran: &mut Ran,
) -> Result<Ended> {
    let nix = &context.flake.nix;
    let (name, ssh_options) = builders::ssh_options();
    let mut call = nix
        .command(["build", "--no-link", "--keep-going", "--log-format", "internal-json"])
        .args(builds.iter().map(|build| build.drv.all_outputs()))
        .env(name, ssh_options)
        .ends_with_us();
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
    let mut follower = Follower::start(context, builds, expected, limits, ran);
    let mut given_up = None;
    let exit = process::watch(&call, None, &mut |heard| {
        if let Heard::Line(Source::Stderr, line) = heard {
            follower.line(line);
        }
        given_up = given_up.take().or_else(|| follower.exhausted());
        if given_up.is_some() { Then::End } else { Then::GoOn }
    })?;
    let mut errors = follower.finish();
    if !matches!(exit, Exit::Code(_)) {
        // Nix had no time to end what it had begun.
        orphans::end();
    }
    if let Exit::Signal(_) = exit {
        errors.push(format!("Nix itself was {exit} while it built"));
    }
    // A failure that no builder reported (a full disk, a lock, a refused daemon) belongs
    // to no log.
    ran.logs.remember(&errors);
    if ran.tracker.idle() {
        for error in &errors {
            context.ui.complain(format!("nix: {}", error));
        }
    }
    Ok(Ended { errors, given_up, by_itself: matches!(exit, Exit::Code(_)) })
}
