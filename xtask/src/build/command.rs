//! `build-all`: builds every distinct variant.

use std::collections::BTreeSet;
use std::thread;

use anyhow::{Result, anyhow, bail};

use crate::build::args::BuildAllArgs;
use crate::build::early::EarlyBuild;
use crate::build::plan::Planned;
use crate::build::report::{BuildReport, PlanReport};
use crate::build::run_state::SharedRun;
use crate::build::variants::{Build, add_packages, distinct};
use crate::build::{github, junit, latest_logs, packages, plan, publish, run, view};
use crate::check;
use crate::check::command::folder_in_checkout;
use crate::check::evaluation::{EvalOptions, OnSelection, evaluate_each};
use crate::check::outcomes::Outcomes;
use crate::check::report::{CheckReport, HostReport};
use crate::ci::run::{Ci, Report};
use crate::findings::finding::{Finding, none_is_an_error};
use crate::findings::outcome::Outcome;
use crate::findings::view::print as print_finding;
use crate::fleet::context::Context;
use crate::fleet::manifest::{Manifest, Selection};
use crate::fleet::names::HostName;
use crate::system::usage;
use crate::ui::nearest::nearest;

pub fn run(args: &BuildAllArgs, context: &Context, ci: &Ci) -> Result<Outcome> {
    if let Some(to) = &args.push {
        publish::check_store(context, to)?;
    }
    // The evaluation does not depend on builders.
    let builders = args.builders.iter().flat_map(|it| ["--builders".to_owned(), it.clone()]);
    let building = &context.with_nix_options(builders);
    if args.dry_run {
        return dry_run(context, find(args, context, building, None)?);
    }
    // Discover, plan and run.
    let run = SharedRun::new(building);
    let early = EarlyBuild::new(building, &args.limits, &run);
    let found = thread::scope(|scope| {
        let beside = scope.spawn(|| early.build());
        let add = |host: &HostName, selection: Selection| {
            if is_chosen(args, &selection.manifest) {
                early.add(host, selection);
            }
        };
        let found = find(args, context, building, Some(&add));
        let found = found.and_then(|mut found| {
            let setup = found.findings.iter().filter(|finding| plan::is_setup(finding));
            setup.for_each(|finding| print_finding(&building.ui, "build-all", finding));
            run::begin(building, &mut found.planned, &args.limits, &run, Some(&early))?;
            Ok(found)
        });
        if found.is_err() {
            run.cancel();
        }
        early.close();
        beside.join().unwrap_or_else(|_| Err(anyhow!("the building thread panicked")))?;
        found
    })?;
    let Found { planned, hosts, mut findings } = found;
    let mut variants = run::report(building, &planned, run.into_state())?;
    if !args.no_link {
        publish::link(building, args, &mut variants, hosts.ok, &mut findings);
    }
    if let Some(to) = &args.push {
        publish::push(building, to, &mut variants, &mut findings);
    }
    findings.extend(variants.iter().flat_map(|variant| variant.findings.clone()));
    // Report.
    latest_logs::save(context, &variants);
    let built = variants.iter().all(|variant| variant.state.ok());
    let report = BuildReport {
        schema: 1,
        command: "build-all",
        ok: built && hosts.ok && none_is_an_error(&findings),
        variants,
        hosts: hosts.hosts,
        own_cpu_seconds: usage::own_cpu().as_secs_f64(),
        findings,
    };
    view::tables::report(&context.ui, &report);
    context.ui.document(&report)?;
    ci.report(Report {
        cases: junit::of_build(&report),
        annotations: github::annotations(&report, &folder_in_checkout(context)),
        summary: github::summary(&report),
    })?;
    Ok(match built {
        true => Outcome::new(report.ok, all_findings(&report.hosts, &report.findings)),
        false => Outcome::Findings,
    })
}

fn dry_run(context: &Context, found: Found) -> Result<Outcome> {
    let Found { planned, hosts, findings } = found;
    let ok = hosts.ok && none_is_an_error(&findings);
    context.ui.document(&PlanReport {
        schema: 1,
        command: "build-all",
        dry_run: true,
        plan: &planned.plan,
        hosts: &hosts.hosts,
        findings: &findings,
        ok,
    })?;
    view::tables::plan(&context.ui, &planned.plan);
    check::view::print_findings(&context.ui, &hosts);
    findings.iter().for_each(|finding| print_finding(&context.ui, "build-all", finding));
    Ok(Outcome::new(ok, all_findings(&hosts.hosts, &findings)))
}

/// What is to be built.
struct Found {
    planned: Planned,
    /// The hosts that select no variant.
    hosts: CheckReport,
    findings: Vec<Finding>,
}

fn find(
    args: &BuildAllArgs,
    context: &Context,
    building: &Context,
    on_selection: OnSelection,
) -> Result<Found> {
    let hosts = context.hosts(&args.selection.hosts)?;
    let outcomes = evaluate_each(context, &hosts, EvalOptions::default(), on_selection)?;
    let (packages, mut findings) =
        if args.packages { packages::selections(building)? } else { (vec![], vec![]) };
    let builds = chosen(args, &outcomes, &packages);
    let unevaluated = outcomes.without_variant();
    let named = &args.selection.hosts;
    let hosts = CheckReport::for_named(named, &unevaluated, outcomes, &BTreeSet::new());
    // A host that does not evaluate may be the reason for an unknown variant.
    let builds = builds.inspect_err(|_| check::view::print_findings(&context.ui, &hosts))?;
    let planned = plan::plan(building, &builds)?;
    findings.extend(planned.plan.needs_setup());
    Ok(Found { planned, hosts, findings })
}

fn all_findings<'a>(
    hosts: &'a [HostReport],
    own: &'a [Finding],
) -> impl Iterator<Item = &'a Finding> {
    hosts.iter().flat_map(|host| &host.findings).chain(own)
}

/// Returns the distinct builds of the hosts and packages that the options select.
fn chosen(
    args: &BuildAllArgs,
    outcomes: &Outcomes,
    packages: &[(String, Selection)],
) -> Result<Vec<Build>> {
    let mut builds = distinct(outcomes.selected());
    add_packages(&mut builds, packages);
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
    builds.retain(|build| is_chosen(args, &build.manifest));
    Ok(builds)
}

/// Returns whether `--backend` and `--variant` select this variant.
fn is_chosen(args: &BuildAllArgs, manifest: &Manifest) -> bool {
    (args.variant.is_empty() || args.variant.iter().any(|name| name == manifest.variant.as_str()))
        && args.backend.as_ref().is_none_or(|backend| manifest.backends.contains(backend))
}
