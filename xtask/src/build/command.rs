//! `build-all`: every distinct variant, built by one `nix build` over all of them.

use std::collections::BTreeSet;

use anyhow::{Result, bail};

use crate::build::args::BuildAllArgs;
use crate::build::report::BuildReport;
use crate::build::variants::{Build, distinct, with_packages};
use crate::check::evaluation as evaluate;
use crate::check::evaluation::{Ask, Outcomes};
use crate::check::report::{CheckReport, Evaluated};
use crate::ci::run::Ci;
use crate::findings::finding::none_is_an_error;
use crate::findings::outcome::Outcome;
use crate::fleet::context::Context;
use crate::fleet::manifest::Selection;
use crate::nix::names::HostName;
use crate::system::usage;
use crate::ui::nearest::nearest;

pub use crate::build::run::build;

/// How Nix spreads the work; `None` leaves the choice to us.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    pub max_jobs: Option<u32>,
    pub cores: Option<u32>,
    /// How often again, for what failed for want of network or of a builder.
    pub retry: u32,
    /// Seconds of one build, and of its silence.
    pub timeout: Option<u64>,
    pub max_silent_time: Option<u64>,
}

pub fn run(args: &BuildAllArgs, mut context: Context, ci: &Ci) -> Result<Outcome> {
    // Discover.
    if let Some(to) = &args.push {
        crate::build::publish::greet(&context, to)?;
    }
    let hosts = context.hosts(&args.selection.hosts)?;
    let outcomes = evaluate::evaluate(&context, &hosts, Ask::default())?;
    // Not before: what was evaluated with other builders stands.
    if let Some(builders) = &args.builders {
        context.flake.nix.options.extend(["--builders".to_owned(), builders.clone()]);
    }
    let context = &context;
    let (packages, mut findings) =
        if args.packages { crate::build::packages::selections(context)? } else { (vec![], vec![]) };
    // Plan.
    let builds = chosen(args, &outcomes, &packages)?;
    let planned = crate::build::planning::plan(context, &builds)?;
    let unevaluated: Vec<HostName> = outcomes
        .iter()
        .filter(|(_, (evaluated, _))| !matches!(evaluated, Evaluated::Selected(_)))
        .map(|(host, _)| host.clone())
        .collect();
    let excused = evaluate::strangers_are_well(&args.selection.hosts, &outcomes);
    let failed = CheckReport::new(&unevaluated, outcomes, &BTreeSet::new());
    let failed = if excused { failed.excuse_strangers() } else { failed };
    if args.dry_run {
        let ok = failed.ok && none_is_an_error(&findings);
        context.ui.document(&serde_json::json!({
            "schema": 1, "command": "build-all", "dryRun": true, "variants": planned.plan.variants,
            "dependencies": planned.plan.dependencies, "fetch": planned.plan.fetch,
            "hosts": failed.hosts, "findings": findings, "ok": ok,
        }))?;
        crate::build::view::plan::print(&context.ui, &planned.plan);
        crate::check::view::complain(&context.ui, &failed);
        findings
            .iter()
            .for_each(|finding| crate::findings::view::print(&context.ui, "packages", finding));
        return Ok(Outcome::from_ok(ok));
    }
    // Run.
    let asked = Limits {
        max_jobs: args.max_jobs,
        cores: args.cores,
        retry: args.retry,
        timeout: args.timeout,
        max_silent_time: args.max_silent_time,
    };
    let mut variants = crate::build::run::build_planned(context, &builds, &planned, asked)?;
    if !args.no_link {
        crate::build::publish::link(context, args, &builds, &mut variants, &mut findings);
    }
    if let Some(to) = &args.push {
        crate::build::publish::push(context, to, &mut variants, &mut findings);
    }
    // Report.
    let report = BuildReport {
        schema: 1,
        command: "build-all",
        ok: variants.iter().all(|variant| variant.state.well())
            && failed.ok
            && none_is_an_error(&findings),
        variants,
        hosts: failed.hosts,
        own_cpu_seconds: usage::own_cpu().as_secs_f64(),
        findings,
    };
    let ok = report.ok;
    crate::build::output::tell(context, ci, report)?;
    Ok(Outcome::from_ok(ok))
}

/// The distinct builds among what the hosts select and the packages, as far as they have
/// the backend and the name that were asked for.
fn chosen(
    args: &BuildAllArgs,
    outcomes: &Outcomes,
    packages: &[(String, Selection)],
) -> Result<Vec<Build>> {
    let selected = outcomes.iter().filter_map(|(host, (evaluated, _))| match evaluated {
        Evaluated::Selected(selection) => Some((host, selection.as_ref())),
        _ => None,
    });
    let mut builds = with_packages(distinct(selected), packages);
    let names: BTreeSet<String> = builds.iter().map(|b| b.variant.as_str().to_owned()).collect();
    if let Some(name) = args.variant.iter().find(|name| !names.contains(*name)) {
        let near = nearest(name, names.iter().map(String::as_str));
        let hint = near.map(|near| format!(" Did you mean {near}?")).unwrap_or_default();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        bail!(
            "none of these hosts selects the variant {name:?}; they select {}.{hint}",
            names.join(", ")
        );
    }
    builds.retain(|build| {
        (args.variant.is_empty() || args.variant.iter().any(|name| name == build.variant.as_str()))
            && args.backend.as_ref().is_none_or(|backend| build.backends.contains(backend))
    });
    Ok(builds)
}
