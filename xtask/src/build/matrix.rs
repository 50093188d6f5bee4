//! `matrix`: the builds as a GitHub Actions matrix, on one line of stdout. Jobs run on machines
//! that share no store, so builds that share a module, which may take an hour, are one job. What
//! all builds share is built in each job: ggml's base and the tools take minutes.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use serde::Serialize;

use crate::check::evaluation::{EvalOptions, evaluate};
use crate::check::report::CheckReport;
use crate::findings::outcome::Outcome;
use crate::fleet::args::HostSelection;
use crate::fleet::context::Context;
use crate::fleet::manifest::Selection;
use crate::fleet::names::HostName;
use crate::nix::names::DrvPath;

pub fn run(args: &HostSelection, context: &Context) -> Result<Outcome> {
    // Discover, plan.
    let hosts = context.hosts(&args.hosts)?;
    // Run.
    let outcomes = evaluate(context, &hosts, EvalOptions::default())?;
    // Report.
    let matrix = Matrix::new(outcomes.selected());
    context.ui.line(&matrix)?;
    // A host that does not evaluate is in no job, so it must be reported.
    let missing = outcomes.without_variant();
    let excused = outcomes.may_lack_module(&args.hosts);
    let report = CheckReport::new(&missing, outcomes, &BTreeSet::new());
    let report = if excused { report.allow_missing_module() } else { report };
    crate::check::view::complain(&context.ui, &report);
    Ok(report.outcome())
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Matrix {
    include: Vec<Job>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Job {
    /// Of several builds separated by commas, as `cargo xtask build-all --variant` takes them.
    variant: String,
    /// Separated by spaces, as `cargo xtask build-all` takes them.
    hosts: String,
    system: String,
    /// The first of `drvPaths`.
    drv_path: DrvPath,
    drv_paths: Vec<DrvPath>,
    /// As in the module, `cuda+rocm` for several.
    backend: String,
    /// llama.cpp's; a pinned host has an earlier one than the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    rev: Option<String>,
    /// GitHub's runner for this system, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    runner: Option<&'static str>,
}

/// One distinct build, and its hosts.
type Wanted<'a> = (&'a Selection, Vec<&'a str>);

impl Matrix {
    fn new<'a>(selected: impl Iterator<Item = (&'a HostName, &'a Selection)>) -> Self {
        let mut builds: BTreeMap<&DrvPath, Wanted<'a>> = BTreeMap::new();
        for (host, selection) in selected {
            let build = builds.entry(&selection.drv_path).or_insert((selection, vec![]));
            build.1.push(host.as_str());
        }
        // Derivations sort by hash, which is of no use to readers of the job list.
        let mut builds: Vec<Wanted<'a>> = builds.into_values().collect();
        builds.sort_by(|a, b| (&a.0.manifest.variant, &a.1).cmp(&(&b.0.manifest.variant, &b.1)));
        let mut jobs: Vec<Vec<Wanted<'a>>> = vec![];
        for build in builds {
            let (shared, other) = jobs.into_iter().partition(|job| share_a_module(job, &build));
            jobs = other;
            // The build may be what two jobs have in common.
            let shared: Vec<Vec<Wanted<'a>>> = shared;
            jobs.push(shared.into_iter().flatten().chain([build]).collect());
        }
        let mut include: Vec<Job> = jobs.iter().filter_map(|job| Job::new(job)).collect();
        include.sort_by(|a, b| (&a.variant, &a.hosts).cmp(&(&b.variant, &b.hosts)));
        Self { include }
    }
}

fn share_a_module(job: &[Wanted<'_>], build: &Wanted<'_>) -> bool {
    // `ggml-cuda-sm75`, not `ggml`.
    let modules = |selection: &Selection| -> BTreeSet<DrvPath> {
        let parts = selection.manifest.parts.iter();
        parts.filter(|it| it.name.starts_with("ggml-")).map(|it| it.drv_path.clone()).collect()
    };
    let of_build = modules(build.0);
    job.iter().any(|(selection, _)| !modules(selection).is_disjoint(&of_build))
}

impl Job {
    fn new(builds: &[Wanted<'_>]) -> Option<Self> {
        let (Selection { manifest, drv_path, .. }, _) = builds.first()?;
        let variants: Vec<&str> =
            builds.iter().map(|(build, _)| build.manifest.variant.as_str()).collect();
        let hosts: Vec<&str> = builds.iter().flat_map(|(_, hosts)| hosts.iter().copied()).collect();
        let backends: BTreeSet<&str> = builds
            .iter()
            .flat_map(|(build, _)| build.manifest.backends.iter().map(String::as_str))
            .collect();
        Some(Self {
            variant: variants.join(","),
            hosts: hosts.join(" "),
            system: manifest.system.clone(),
            drv_path: drv_path.clone(),
            drv_paths: builds.iter().map(|(build, _)| build.drv_path.clone()).collect(),
            backend: backends.into_iter().collect::<Vec<_>>().join("+"),
            rev: manifest.rev.clone(),
            runner: runner(&manifest.system),
        })
    }
}

fn runner(system: &str) -> Option<&'static str> {
    match system {
        "x86_64-linux" => Some("ubuntu-24.04"),
        "aarch64-linux" => Some("ubuntu-24.04-arm"),
        _ => None,
    }
}
