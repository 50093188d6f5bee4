//! The report of `check` for GitHub: annotations and step summary.

use std::fmt::Write as _;

use crate::check::outcomes::HostState;
use crate::check::report::{CheckReport, HostReport};
use crate::ci::github::{MOST_FINDINGS, annotation, item, markdown};
use crate::findings::finding::Finding;

/// One `::error …::` or `::warning …::` for each finding. `folder` is where the flake is
/// in the checkout: `fleet/`, or nothing.
pub fn annotations(report: &CheckReport, folder: &str) -> Vec<String> {
    let findings = all(report).take(MOST_FINDINGS);
    findings.map(|(place, finding)| annotation(&place, finding, folder)).collect()
}

/// The report as Markdown, for `$GITHUB_STEP_SUMMARY`.
pub fn summary(report: &CheckReport) -> String {
    let ok = report.hosts.iter().filter(|host| host.state == HostState::Ok).count();
    let mut text = format!(
        "### {} {ok} of {} hosts ok, {} distinct {}\n\n",
        if report.ok { "✅" } else { "❌" },
        report.hosts.iter().filter(|host| !host.lacks_module()).count(),
        report.builds,
        if report.builds == 1 { "build" } else { "builds" },
    );
    text.push_str("| host | state | variant | in store |\n|---|---|---|---|\n");
    report.hosts.iter().for_each(|host| text.push_str(&row(host)));
    for package in &report.packages {
        let _ = writeln!(text, "| {} | {} | | |", markdown(&package.to_string()), package.state);
    }
    let count = all(report).count();
    if count > 0 {
        text.push('\n');
    }
    for (place, finding) in all(report).take(MOST_FINDINGS) {
        text.push_str(&item(&place, finding));
    }
    if count > MOST_FINDINGS {
        let _ = writeln!(text, "- and {} more", count - MOST_FINDINGS);
    }
    text.push('\n');
    text
}

fn row(host: &HostReport) -> String {
    let variant = host.variant.as_ref().map_or("", |variant| variant.as_str());
    let cached = match (&host.drv_path, host.cached) {
        (None, _) => "",
        (Some(_), true) => "yes",
        (Some(_), false) => "no",
    };
    let name = markdown(host.host.as_str());
    format!("| {name} | {} | {} | {cached} |\n", host.state, markdown(variant))
}

/// Every finding with the host, package or fleet that it is about; errors first.
fn all(report: &CheckReport) -> impl Iterator<Item = (String, &Finding)> {
    let fleet = report.findings.iter().map(|finding| ("fleet".to_owned(), finding));
    let hosts = report.hosts.iter().flat_map(|host| {
        host.findings.iter().map(|finding| (host.host.as_str().to_owned(), finding))
    });
    let packages = report
        .packages
        .iter()
        .flat_map(|package| package.findings.iter().map(|finding| (package.to_string(), finding)));
    let mut all: Vec<_> = fleet.chain(hosts).chain(packages).collect();
    all.sort_by_key(|(_, finding)| std::cmp::Reverse(finding.severity));
    all.into_iter()
}
