//! Formats the report of `check` for GitHub: annotations and the step summary.

use std::cmp::Reverse;
use std::fmt::Write as _;

use crate::check::report::{CheckReport, HostReport};
use crate::ci::github::{MOST_FINDINGS, annotation, item, markdown};
use crate::findings::finding::{Finding, grouped};

/// Returns an annotation for each finding. `folder` is the flake's folder in the checkout, such as
/// `fleet/`, or empty.
pub fn annotations(report: &CheckReport, folder: &str) -> Vec<String> {
    let findings = errors_first(report).into_iter().take(MOST_FINDINGS);
    findings.map(|(place, finding)| annotation(&place, finding, folder)).collect()
}

/// Formats the report as Markdown, for `$GITHUB_STEP_SUMMARY`.
pub fn summary(report: &CheckReport) -> String {
    let mark = if report.ok { "✅" } else { "❌" };
    let mut text = format!("### {mark} {}\n\n", report.summary());
    text.push_str("| host | state | variant | in store |\n|---|---|---|---|\n");
    text.extend(report.hosts.iter().map(row));
    for package in &report.packages {
        let _ = writeln!(text, "| {} | {} | | |", markdown(&package.to_string()), package.state);
    }
    let findings = errors_first(report);
    if !findings.is_empty() {
        text.push('\n');
    }
    text.extend(findings.iter().take(MOST_FINDINGS).map(|(place, finding)| item(place, finding)));
    if findings.len() > MOST_FINDINGS {
        let _ = writeln!(text, "- and {} more", findings.len() - MOST_FINDINGS);
    }
    text + "\n"
}

fn row(host: &HostReport) -> String {
    let variant = host.variant.as_ref().map_or("", |variant| variant.as_str());
    let (name, variant) = (markdown(host.host.as_str()), markdown(variant));
    format!("| {name} | {} | {variant} | {} |\n", host.state, host.in_store())
}

fn errors_first(report: &CheckReport) -> Vec<(String, &Finding)> {
    let mut all = grouped(report.all_findings());
    all.sort_by_key(|(_, finding)| Reverse(finding.severity));
    all
}
