//! `build-all`: every distinct variant, built by one `nix build` over all of them.

mod nix;
mod report;
mod run;

use std::collections::BTreeSet;

use anyhow::Result;

use crate::cli;
pub use crate::cmd::build_all::run::build;
use crate::cmd::ci::Ci;
use crate::cmd::context::Context;
use crate::cmd::evaluate::Ask;
use crate::cmd::{Outcome, evaluate};
use crate::domain::build::{Build, BuildReport, distinct};
use crate::domain::check::{CheckReport, Evaluated};
use crate::domain::manifest::Selection;
use crate::domain::names::{HostName, StorePath};
use crate::sys::store;

/// How Nix spreads the work; `None` leaves nix.conf's choice.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    pub max_jobs: Option<u32>,
    pub cores: Option<u32>,
    /// Seconds of one build, and of its silence.
    pub timeout: Option<u64>,
    pub max_silent_time: Option<u64>,
}

pub fn run(args: &cli::BuildAll, mut context: Context, ci: &Ci) -> Result<Outcome> {
    // Discover.
    let hosts = context.hosts(&args.selection.hosts)?;
    let outcomes = evaluate::evaluate(&context, &hosts, Ask::default())?;
    // Not before: what was evaluated with other builders stands.
    if let Some(builders) = &args.builders {
        context.flake.nix.options.extend(["--builders".to_owned(), builders.clone()]);
    }
    let context = &context;
    let wanted = |selection: &Selection| {
        args.backend.as_ref().is_none_or(|backend| selection.manifest.backends.contains(backend))
    };
    // Plan.
    let builds = distinct(outcomes.iter().filter_map(|(host, (evaluated, _))| match evaluated {
        Evaluated::Selected(selection) if wanted(selection) => Some((host, selection.as_ref())),
        _ => None,
    }));
    let unevaluated: Vec<HostName> = outcomes
        .iter()
        .filter(|(_, (evaluated, _))| !matches!(evaluated, Evaluated::Selected(_)))
        .map(|(host, _)| host.clone())
        .collect();
    if args.dry_run {
        return dry_run(context, &builds, unevaluated.is_empty());
    }
    // Run.
    let limits = Limits {
        max_jobs: args.max_jobs,
        cores: args.cores,
        timeout: args.timeout,
        max_silent_time: args.max_silent_time,
    };
    let variants = build(context, &builds, limits)?;
    // Report.
    let failed = CheckReport::new(&unevaluated, outcomes, &BTreeSet::new());
    let report = BuildReport {
        schema: 1,
        command: "build-all",
        ok: variants.iter().all(|variant| variant.state.well()) && unevaluated.is_empty(),
        variants,
        hosts: failed.hosts,
    };
    let ok = report.ok;
    report::tell(context, ci, report)?;
    Ok(Outcome::from_ok(ok))
}

fn dry_run(context: &Context, builds: &[Build], all_evaluate: bool) -> Result<Outcome> {
    let call = context
        .flake
        .nix
        .command(["build", "--dry-run", "--no-link", "--keep-going"])
        .args(builds.iter().map(|build| build.drv.all_outputs()));
    let plan = context.flake.nix.capture(&call, None)?;
    let present = present(context, builds)?;
    for build in builds {
        let hosts: Vec<&str> = build.hosts.iter().map(HostName::as_str).collect();
        let state = if present.contains(&build.out) { "present" } else { "to be made" };
        context.ui.result(format!("{:<32} {state:<11} {}", build.variant, hosts.join(", ")));
    }
    context.ui.say(plan.stderr_text().trim_end());
    Ok(Outcome::from_ok(all_evaluate && plan.exit.ok()))
}

fn present(context: &Context, builds: &[Build]) -> Result<BTreeSet<StorePath>> {
    let outputs = builds.iter().map(|build| build.out.clone()).collect();
    Ok(store::valid(&context.flake.nix, &outputs)?.into_keys().collect())
}
