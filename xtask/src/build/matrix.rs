//! `matrix`: prints the builds as a GitHub Actions matrix, on one line. The jobs' machines share no
//! store, so builds with a common ggml module, which may take an hour, are one job. ggml's base and
//! the tools, which take minutes, are built in each job.

use std::collections::BTreeSet;

use anyhow::Result;
use serde::Serialize;

use crate::build::variants::{Build, distinct};
use crate::check::evaluation::{EvalOptions, evaluate};
use crate::check::report::CheckReport;
use crate::check::view;
use crate::findings::outcome::Outcome;
use crate::fleet::args::HostSelection;
use crate::fleet::context::Context;
use crate::fleet::names::HostName;
use crate::nix::names::DrvPath;

pub fn run(args: &HostSelection, context: &Context) -> Result<Outcome> {
    // Discover, plan.
    let hosts = context.hosts(&args.hosts)?;
    // Run.
    let outcomes = evaluate(context, &hosts, EvalOptions::default())?;
    // Report.
    let matrix = Matrix::new(distinct(outcomes.selected()));
    context.ui.line(&matrix)?;
    // A host that does not evaluate is in no job, so it must be reported.
    let missing = outcomes.without_variant();
    let report = CheckReport::for_named(&args.hosts, &missing, outcomes, &BTreeSet::new());
    view::print_findings(&context.ui, &report);
    Ok(report.outcome())
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Matrix {
    include: Vec<Job>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Job {
    /// Variants separated by commas, as for `cargo xtask build-all --variant`.
    variant: String,
    /// Hosts separated by spaces, as for `cargo xtask build-all`.
    hosts: String,
    system: String,
    /// The first of `drvPaths`.
    drv_path: DrvPath,
    drv_paths: Vec<DrvPath>,
    /// Backends as in the module, such as `cuda+rocm`.
    backend: String,
    /// llama.cpp's revision; a pinned host has an earlier one than the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    rev: Option<String>,
    /// GitHub's runner for this system, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    runner: Option<&'static str>,
}

impl Matrix {
    fn new(mut builds: Vec<Build>) -> Self {
        builds.sort_by(|a, b| (&a.variant, &a.hosts).cmp(&(&b.variant, &b.hosts)));
        let mut jobs: Vec<Vec<Build>> = vec![];
        for build in builds {
            // The build may connect several jobs.
            let (shared, other): (Vec<_>, _) =
                jobs.into_iter().partition(|job| share_a_module(job, &build));
            jobs = other;
            jobs.push(shared.into_iter().flatten().chain([build]).collect());
        }
        let mut include: Vec<Job> = jobs.iter().filter_map(|job| Job::new(job)).collect();
        include.sort_by(|a, b| (&a.variant, &a.hosts).cmp(&(&b.variant, &b.hosts)));
        Self { include }
    }
}

fn share_a_module(job: &[Build], build: &Build) -> bool {
    // For example `ggml-cuda-sm75`, but not `ggml`.
    fn modules(build: &Build) -> impl Iterator<Item = &DrvPath> {
        let parts = build.manifest.parts.iter();
        parts.filter(|it| it.name.starts_with("ggml-")).map(|it| &it.drv_path)
    }
    job.iter().flat_map(modules).any(|module| modules(build).any(|own| own == module))
}

impl Job {
    fn new(builds: &[Build]) -> Option<Self> {
        let Build { manifest, drv, .. } = builds.first()?;
        let variants: Vec<&str> = builds.iter().map(|build| build.variant.as_str()).collect();
        let hosts = builds.iter().flat_map(|build| &build.hosts);
        let hosts: Vec<&str> = hosts.map(HostName::as_str).collect();
        let backends = builds.iter().flat_map(|build| &build.manifest.backends);
        let backends: BTreeSet<&str> = backends.map(String::as_str).collect();
        Some(Self {
            variant: variants.join(","),
            hosts: hosts.join(" "),
            system: manifest.system.clone(),
            drv_path: drv.clone(),
            drv_paths: builds.iter().map(|build| build.drv.clone()).collect(),
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
