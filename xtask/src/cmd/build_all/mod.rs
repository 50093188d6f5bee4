//! `build-all`: every distinct variant, built by one `nix build` over all of them.

mod nix;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::{Context as _, Result};

use crate::cli;
use crate::cmd::context::Context;
use crate::cmd::evaluate::Ask;
use crate::cmd::{Outcome, evaluate};
use crate::domain::build::{Build, BuildReport, BuildState, Tracker, VariantReport, distinct};
use crate::domain::check::{CheckReport, Evaluated};
use crate::domain::manifest::Selection;
use crate::domain::names::{DrvPath, HostName, StorePath};
use crate::sys::{build_log::BuildLogs, flake, interrupt, store};
use crate::ui;

/// How Nix spreads the work; `None` leaves nix.conf's choice.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    pub max_jobs: Option<u32>,
    pub cores: Option<u32>,
}

pub fn run(args: &cli::BuildAll, context: &Context) -> Result<Outcome> {
    // Discover.
    let hosts = context.hosts(&args.selection.hosts)?;
    let outcomes = evaluate::evaluate(context, &hosts, Ask::default())?;
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
    let limits = Limits { max_jobs: args.max_jobs, cores: args.cores };
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
    context.ui.document(&report)?;
    ui::build::print(&context.ui, &report);
    Ok(Outcome::from_ok(report.ok))
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

/// Builds them all, and says of each what became of it. Nothing is called built that is
/// not valid in the store when Nix has ended.
pub fn build(context: &Context, builds: &[Build], limits: Limits) -> Result<Vec<VariantReport>> {
    let before = present(context, builds)?;
    let (buildable, unsupported): (Vec<&Build>, Vec<&Build>) =
        builds.iter().filter(|build| !before.contains(&build.out)).partition(|build| {
            build.system == flake::system() || context.flake.nix.has_machine_for(&build.system)
        });
    let unsupported: BTreeSet<&StorePath> = unsupported.into_iter().map(|b| &b.out).collect();

    let mut logs = BuildLogs::create(&log_folder(context)?)?;
    let mut seconds = nix::Stopwatch::default();
    let mut tracker = Tracker::default();
    if !buildable.is_empty() {
        nix::run(context, &buildable, limits, &mut tracker, &mut logs, &mut seconds)?;
    }

    let outputs: BTreeSet<StorePath> = builds.iter().map(|build| build.out.clone()).collect();
    let valid = store::valid(&context.flake.nix, &outputs)?;
    Ok(builds
        .iter()
        .map(|build| {
            let state = match valid.contains_key(&build.out) {
                true if before.contains(&build.out) => BuildState::Present,
                true if tracker.was_substituted(&build.out) => BuildState::Substituted,
                true => BuildState::Built,
                false if unsupported.contains(&build.out) => BuildState::Unsupported,
                false if interrupt::requested() => BuildState::Interrupted,
                false if tracker.started(&build.drv) => BuildState::Failed,
                false => BuildState::DependencyFailed,
            };
            let culprit = match state {
                BuildState::Failed => Some(build.drv.clone()),
                BuildState::DependencyFailed => needed_failure(context, &build.drv, &tracker),
                _ => None,
            };
            VariantReport {
                variant: build.variant.clone(),
                hosts: build.hosts.clone(),
                drv_path: build.drv.clone(),
                out_path: valid.contains_key(&build.out).then(|| build.out.clone()),
                state,
                seconds: seconds.of(&build.drv),
                log: logs
                    .file(culprit.as_ref().unwrap_or(&build.drv))
                    .map(|file| file.display().to_string()),
                closure_bytes: valid.get(&build.out).and_then(|info| info.closure_size),
                log_tail: culprit.map(|drv| tracker.tail(&drv)).unwrap_or_default(),
            }
        })
        .collect())
}

/// Of the builds that failed, one that this derivation needs.
fn needed_failure(context: &Context, drv: &DrvPath, tracker: &Tracker) -> Option<DrvPath> {
    let needs = store::needs(&context.flake.nix, drv).ok()?;
    tracker.failed().find(|failed| needs.contains(*failed)).cloned()
}

/// `…/logs/build/2026-11-22T10-00-00`, so that an earlier run's logs stay.
fn log_folder(context: &Context) -> Result<PathBuf> {
    let now =
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).context("clock before 1970")?;
    Ok(context.home.join(format!("logs/build/{}-{}", now.as_secs(), std::process::id())))
}
