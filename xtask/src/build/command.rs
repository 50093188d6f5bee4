//! `build-all`: builds every distinct variant with one `nix build`.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Result, bail};

use crate::build::args::BuildAllArgs;
use crate::build::report::{BuildReport, PlanReport, VariantReport};
use crate::build::variants::{Build, BuildState, add_packages, distinct};
use crate::build::{
    compile_error, github, junit, latest_logs, log, packages, plan, publish, run, view,
};
use crate::check;
use crate::check::command::folder_in_checkout;
use crate::check::evaluation as evaluate;
use crate::check::evaluation::EvalOptions;
use crate::check::outcomes::Outcomes;
use crate::check::report::{CheckReport, HostReport};
use crate::ci::run::{Ci, Report};
use crate::findings::finding::{Finding, none_is_an_error};
use crate::findings::outcome::Outcome;
use crate::findings::view::print as print_finding;
use crate::fleet::context::Context;
use crate::fleet::manifest::Selection;
use crate::system::usage;
use crate::ui::nearest::nearest;

pub fn run(args: &BuildAllArgs, mut context: Context, ci: &Ci) -> Result<Outcome> {
    // Discover.
    if let Some(to) = &args.push {
        publish::check_store(&context, to)?;
    }
    let hosts = context.hosts(&args.selection.hosts)?;
    let outcomes = evaluate::evaluate(&context, &hosts, EvalOptions::default())?;
    // Not before: the evaluation does not depend on builders.
    if let Some(builders) = &args.builders {
        context.flake.nix.options.extend(["--builders".to_owned(), builders.clone()]);
    }
    let context = &context;
    let (packages, mut findings) =
        if args.packages { packages::selections(context)? } else { (vec![], vec![]) };
    // Plan.
    let builds = chosen(args, &outcomes, &packages)?;
    let planned = plan::plan(context, &builds)?;
    let unevaluated = outcomes.without_variant();
    let excused = outcomes.may_lack_module(&args.selection.hosts);
    let failed = CheckReport::new(&unevaluated, outcomes, &BTreeSet::new());
    let failed = if excused { failed.allow_missing_module() } else { failed };
    if args.dry_run {
        let ok = failed.ok && none_is_an_error(&findings);
        context.ui.document(&PlanReport {
            schema: 1,
            command: "build-all",
            dry_run: true,
            plan: &planned.plan,
            hosts: &failed.hosts,
            findings: &findings,
            ok,
        })?;
        view::tables::plan(&context.ui, &planned.plan);
        check::view::complain(&context.ui, &failed);
        findings.iter().for_each(|finding| print_finding(&context.ui, "packages", finding));
        return Ok(Outcome::new(ok, all_findings(&failed.hosts, &findings)));
    }
    // Run.
    let mut variants = run::build_planned(context, &builds, &planned, &args.limits)?;
    if !args.no_link {
        publish::link(context, args, &builds, &mut variants, &mut findings);
    }
    if let Some(to) = &args.push {
        publish::push(context, to, &mut variants, &mut findings);
    }
    findings.extend(variants.iter().flat_map(|variant| variant.findings.clone()));
    // Report.
    variants.iter_mut().for_each(find_first_error);
    latest_logs::note(context, &variants);
    let report = BuildReport {
        schema: 1,
        command: "build-all",
        ok: variants.iter().all(|variant| variant.state.ok())
            && failed.ok
            && none_is_an_error(&findings),
        variants,
        hosts: failed.hosts,
        own_cpu_seconds: usage::own_cpu().as_secs_f64(),
        findings,
    };
    view::tables::report(&context.ui, &report);
    context.ui.document(&report)?;
    ci.report(Report {
        cases: &|| junit::of_build(&report),
        annotations: &|| {
            github::annotations(&report, &folder_in_checkout(context).unwrap_or_default())
        },
        summary: &|| github::summary(&report),
    })?;
    let built = report.variants.iter().all(|variant| variant.state.ok());
    Ok(match built {
        true => Outcome::new(report.ok, all_findings(&report.hosts, &report.findings)),
        false => Outcome::Findings,
    })
}

fn all_findings<'a>(
    hosts: &'a [HostReport],
    own: &'a [Finding],
) -> impl Iterator<Item = &'a Finding> {
    hosts.iter().flat_map(|host| &host.findings).chain(own)
}

/// The distinct builds among what the hosts select and the packages, as far as they have
/// the backend and the name that were asked for.
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
    builds.retain(|build| {
        (args.variant.is_empty() || args.variant.iter().any(|name| name == build.variant.as_str()))
            && args.backend.as_ref().is_none_or(|backend| build.manifest.backends.contains(backend))
    });
    Ok(builds)
}

/// A parallel build goes on for hundreds of lines after its first error, which is then not
/// in the end of the log.
fn find_first_error(variant: &mut VariantReport) {
    if matches!(variant.state, BuildState::Failed | BuildState::DependencyFailed) {
        let log = variant.log.as_ref().map(|log| log::lines(Path::new(log)));
        variant.first_error = log.and_then(compile_error::first);
    }
}
