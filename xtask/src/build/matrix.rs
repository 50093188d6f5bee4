//! `matrix`: the distinct builds as a GitHub Actions matrix, on one line of stdout.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use serde::Serialize;

use crate::check::evaluation::{EvalOptions, evaluate};
use crate::check::report::CheckReport;
use crate::findings::outcome::Outcome;
use crate::fleet::args::HostSelection;
use crate::fleet::context::Context;
use crate::fleet::manifest::Selection;
use crate::fleet::names::{HostName, VariantName};
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
    variant: VariantName,
    /// Separated by spaces, as `cargo xtask build-all` takes them.
    hosts: String,
    system: String,
    drv_path: DrvPath,
    /// As in the module, `cuda+rocm` for several.
    backend: String,
    /// llama.cpp's; a pinned host has an earlier one than the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    rev: Option<String>,
    /// GitHub's runner for this system, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    runner: Option<&'static str>,
}

impl Matrix {
    fn new<'a>(selected: impl Iterator<Item = (&'a HostName, &'a Selection)>) -> Self {
        let mut builds: BTreeMap<&DrvPath, (&Selection, Vec<&str>)> = BTreeMap::new();
        for (host, selection) in selected {
            let build = builds.entry(&selection.drv_path).or_insert((selection, vec![]));
            build.1.push(host.as_str());
        }
        let mut include: Vec<Job> = builds
            .into_values()
            .map(|(Selection { manifest, drv_path, .. }, hosts)| Job {
                variant: manifest.variant.clone(),
                hosts: hosts.join(" "),
                system: manifest.system.clone(),
                drv_path: drv_path.clone(),
                backend: manifest.backends.join("+"),
                rev: manifest.rev.clone(),
                runner: runner(&manifest.system),
            })
            .collect();
        // Derivations sort by hash, which is of no use to readers of the job list.
        include.sort_by(|a, b| (&a.variant, &a.hosts).cmp(&(&b.variant, &b.hosts)));
        Self { include }
    }
}

fn runner(system: &str) -> Option<&'static str> {
    match system {
        "x86_64-linux" => Some("ubuntu-24.04"),
        "aarch64-linux" => Some("ubuntu-24.04-arm"),
        _ => None,
    }
}
