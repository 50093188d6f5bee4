//! Formats the report of `build-all` for GitHub: annotations and the step summary.

use std::fmt::Write as _;

use crate::build::report::{BuildReport, VariantReport};
use crate::build::variants::BuildState;
use crate::ci::github::{MOST_FINDINGS, annotation, fenced, item, markdown};
use crate::findings::finding::{Finding, grouped};
use crate::ui::github::{data, property};
use crate::ui::units;

/// Maximum size of the summary: GitHub shows none for a step that writes more than 1 MiB in total.
const MOST_BYTES: usize = 400 << 10;

/// Returns an error for each variant that was not built, and an annotation for each finding.
/// `folder` is the flake's folder in the checkout.
pub fn annotations(report: &BuildReport, folder: &str) -> Vec<String> {
    let variants = report.variants.iter().filter(|variant| is_wrong(variant)).map(|variant| {
        let title = property(&format!("{}: {}", variant.build.variant, variant.state));
        format!("::error title={title}::{}", data(&summary_with_log(variant)))
    });
    let findings = findings(report);
    let findings = findings.iter().map(|(place, finding)| annotation(place, finding, folder));
    variants.chain(findings).take(MOST_FINDINGS).collect()
}

/// Returns the findings of the run and of hosts that do not evaluate, each with its place.
fn findings(report: &BuildReport) -> Vec<(String, &Finding)> {
    let run = report.findings.iter().map(|finding| ("build-all".to_owned(), finding));
    grouped(run.chain(report.host_findings()))
}

/// Returns whether the variant is an error. An interrupted build is not.
fn is_wrong(variant: &VariantReport) -> bool {
    !variant.state.ok() && variant.state != BuildState::Interrupted
}

/// Returns the variant's summary, and its log file on a second line.
fn summary_with_log(variant: &VariantReport) -> String {
    let mut text = variant.summary();
    if let Some(log) = &variant.log {
        let _ = write!(text, "\nfull log: {log}");
    }
    text
}

/// Formats the report as Markdown, for `$GITHUB_STEP_SUMMARY`: a table, then the failures, each
/// with the end of its log in a collapsed section.
pub fn summary(report: &BuildReport) -> String {
    let ok = report.variants.iter().filter(|variant| variant.state.ok()).count();
    let mut text = format!(
        "### {} {ok} of {} variants in the store\n\n\
         | variant | state | hosts | time | closure |\n|---|---|---|--:|--:|\n",
        if report.ok { "✅" } else { "❌" },
        report.variants.len(),
    );
    let mut parts: Vec<String> = report.variants.iter().map(row).collect();
    parts.push("\n".to_owned());
    parts.extend(report.variants.iter().filter(|variant| is_wrong(variant)).map(failure));
    parts.extend(findings(report).iter().map(|(place, finding)| item(place, finding)));
    let mut left = parts.len();
    for part in parts {
        if text.len() + part.len() > MOST_BYTES {
            let _ = writeln!(text, "\n{left} more entries are too long for this page");
            break;
        }
        text.push_str(&part);
        left -= 1;
    }
    text.push('\n');
    text
}

fn row(variant: &VariantReport) -> String {
    format!(
        "| {} | {} | {} | {} | {} |\n",
        markdown(variant.build.variant.as_str()),
        variant.state,
        markdown(&variant.build.wanted_by()),
        units::seconds(variant.seconds),
        variant.closure_bytes.map(units::bytes).unwrap_or_default(),
    )
}

fn failure(variant: &VariantReport) -> String {
    let mut text = format!(
        "- 🔴 **{}**: {}\n",
        markdown(variant.build.variant.as_str()),
        markdown(&summary_with_log(variant))
    );
    if !variant.log_tail.is_empty() {
        // Blank lines separate HTML from Markdown.
        let tail = fenced(variant.log_tail.iter().map(String::as_str));
        let count = variant.log_tail.len();
        let _ = write!(
            text,
            "\n<details><summary>the last {count} lines of the log</summary>\n\n{tail}\n\n</details>\n\n"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::variants::Build;
    use crate::fleet::names::HostName;
    use crate::nix::names::DrvPath;

    fn failed(tail: Vec<String>) -> VariantReport {
        VariantReport {
            findings: vec![],
            build: Build {
                hosts: vec![HostName::new("a"), HostName::new("b::c")],
                ..Build::example("cpu|x", DrvPath::new("/nix/store/a.drv"))
            },
            out_path: None,
            state: BuildState::Failed,
            seconds: 61.0,
            log: Some("/logs/a.log".into()),
            closure_bytes: None,
            closure_change_bytes: None,
            link: None,
            pushed: None,
            machine: None,
            attempts: None,
            reason: None,
            failed_dependency: None,
            failed_part: None,
            first_error: Some("x.c:3: error: 100%\r::set-env name=A::B".into()),
            tail_shown: false,
            log_tail: tail,
        }
    }

    fn report(variants: Vec<VariantReport>) -> BuildReport {
        BuildReport {
            schema: 1,
            command: "build-all",
            variants,
            hosts: vec![],
            own_cpu_seconds: 0.0,
            findings: vec![],
            ok: false,
        }
    }

    #[test]
    fn a_failure_has_its_hosts_its_first_error_and_its_log() {
        assert_eq!(
            annotations(&report(vec![failed(vec![])]), ""),
            ["::error title=cpu|x%3A failed::the build failed for a, b::c: x.c:3: error: \
              100%25%0D::set-env name=A::B%0Afull log: /logs/a.log"]
        );
    }

    #[test]
    fn a_long_summary_is_cut() {
        let tail = vec!["`é".repeat(5000); 25];
        let variants = (0..40).map(|_| failed(tail.clone())).collect();
        let summary = summary(&report(variants));
        assert!(summary.len() < 500 << 10, "{}", summary.len());
        assert!(summary.contains("too long for this page"));
        assert_eq!(summary.matches("<details>").count(), summary.matches("</details>").count());
    }
}
