//! `list`: the fleet at a glance.
//!
//! Entry point: `run`.
//!
//! Imports: ui, findings, nix, fleet, check, bench.

use anyhow::Result;
use serde::Serialize;

use crate::bench::results::LastBench;
use crate::bench::results_file::ResultsFile;
use crate::check::evaluation::EvalOptions;
use crate::check::report::{CheckReport, PartReport};
use crate::check::{command as check, evaluation as evaluate, validation};
use crate::findings::finding::Finding;
use crate::findings::outcome::Outcome;
use crate::findings::view::print_all;
use crate::fleet::context::Context;
use crate::fleet::names::{HostName, VariantName};
use crate::nix::flake_input::{build_tag, short};
use crate::ui::table::Table;

#[derive(Debug, Serialize)]
struct ListReport {
    schema: u32,
    command: &'static str,
    hosts: Vec<Listed>,
    ok: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    host: HostName,
    target: Option<String>,
    variant: Option<VariantName>,
    backends: Vec<String>,
    microarch: Option<String>,
    rev: Option<String>,
    build: Option<u64>,
    /// False: the host does not use the module.
    has_module: bool,
    /// Pinned to an earlier llama.cpp than flake.lock has.
    #[serde(rename = "held")]
    pinned: bool,
    in_store: bool,
    parts: Vec<PartReport>,
    /// Of bench/HOST.jsonl.
    last_bench: Option<LastBench>,
    /// Why it has no variant.
    findings: Vec<Finding>,
}

pub fn run(context: &Context) -> Result<Outcome> {
    // Discover, plan.
    let hosts = context.hosts(&[])?;
    let fleet = context.flake.fleet()?;
    // Run.
    let outcomes = evaluate::evaluate(context, &hosts, EvalOptions::default())?;
    let present = check::present(context, outcomes.selected().map(|(_, selection)| selection))?;
    let pinned_hosts = validation::pinned_hosts(context);
    let benched = |host: &HostName| {
        let file = ResultsFile::of(context, host.as_str(), None);
        match file.newest_first() {
            Ok(newest_first) => LastBench::of(newest_first),
            Err(error) => {
                context.ui.warn(format!("warning: {error:#}"));
                None
            }
        }
    };
    // Report.
    let mut listed: Vec<Listed> = hosts
        .into_iter()
        .map(|host| {
            let selection = outcomes.selection(&host);
            let manifest = selection.map(|selection| &selection.manifest);
            Listed {
                target: fleet.get(&host).and_then(|entry| entry.target.clone()),
                variant: manifest.map(|manifest| manifest.variant.clone()),
                backends: manifest.map(|manifest| manifest.backends.clone()).unwrap_or_default(),
                microarch: manifest.map(|manifest| manifest.microarch.clone()),
                rev: manifest.and_then(|manifest| manifest.rev.clone()),
                build: manifest.and_then(|manifest| manifest.build),
                has_module: outcomes.uses_module(&host),
                pinned: pinned_hosts.contains_key(&host),
                last_bench: benched(&host),
                in_store: selection.is_some_and(|one| present.contains(&one.drv_path)),
                parts: manifest.map(|it| PartReport::of(it, &present)).unwrap_or_default(),
                findings: vec![],
                host,
            }
        })
        .collect();
    let failed: Vec<HostName> =
        listed.iter().filter(|host| host.fails()).map(|host| host.host.clone()).collect();
    for report in CheckReport::new(&failed, outcomes, &present).hosts {
        if let Some(host) = listed.iter_mut().find(|host| host.host == report.host) {
            host.findings = report.findings;
        }
    }
    let ok = failed.is_empty();
    let report = ListReport { schema: 1, command: "list", hosts: listed, ok };
    context.ui.document(&report)?;
    print(context, &report);
    Ok(Outcome::new(ok, report.hosts.iter().flat_map(|host| &host.findings)))
}

impl Listed {
    /// Uses the module, and selects no variant.
    fn fails(&self) -> bool {
        self.variant.is_none() && self.has_module
    }

    /// Why there is no variant, for a table.
    fn without_variant(&self) -> Option<String> {
        match self.findings.first() {
            _ if !self.has_module => Some("does not use the module".to_owned()),
            Some(finding) => Some(format!("error: {}", finding.code)),
            None => None,
        }
    }
}

fn print(context: &Context, report: &ListReport) {
    let columns =
        ["HOST", "TARGET", "BACKENDS", "MICROARCH", "LLAMA.CPP", "IN STORE", "LAST BENCH"];
    let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let rows = report
        .hosts
        .iter()
        .map(|host| {
            let rev = host.rev.as_deref().map(|rev| short(rev).to_owned());
            let build = build_tag(host.build);
            let pinned = host.pinned.then(|| "(pinned)".to_owned());
            let known = [build, rev, pinned].into_iter().flatten().collect::<Vec<_>>().join(" ");
            vec![
                host.host.as_str().into(),
                or_dash(&host.target).into(),
                host.without_variant().unwrap_or_else(|| host.backends.join(" + ")).into(),
                or_dash(&host.microarch).into(),
                (if known.is_empty() { "-".to_owned() } else { known }).into(),
                match host.variant {
                    Some(_) => PartReport::in_store(host.in_store, &host.parts).into(),
                    None => "-".into(),
                },
                host.last_bench
                    .as_ref()
                    .map_or_else(|| "-".to_owned(), LastBench::to_string)
                    .into(),
            ]
        })
        .collect();
    context.ui.result(Table { columns: &columns, rows }.render(&context.ui));
    let hosts = report.hosts.iter();
    print_all(
        &context.ui,
        hosts.flat_map(|host| host.findings.iter().map(|it| (host.host.to_string(), it))),
    );
}
