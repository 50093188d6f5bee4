//! Turns the report of `check` into JUnit test cases.

use crate::check::outcomes::HostState;
use crate::check::report::{CheckReport, HostReport};
use crate::ci::junit::{Case, Details, Verdict, cut, describe};
use crate::findings::finding::{Finding, none_is_an_error};

/// Returns a case for the findings about the fleet as a whole, and one per host and package.
pub fn of_check(report: &CheckReport) -> Vec<Case> {
    let class = "check.fleet";
    let fleet = by_findings(class, "fleet".to_owned(), HostState::Ok, &report.findings);
    let hosts = report.hosts.iter().map(|host| of_host("check", host));
    let packages = report.packages.iter().map(|package| {
        by_findings("check.packages", package.to_string(), package.state, &package.findings)
    });
    std::iter::once(fleet).chain(hosts).chain(packages).collect()
}

pub fn of_host(class: &'static str, host: &HostReport) -> Case {
    let name = host.host.as_str().to_owned();
    let case = by_findings(class, name, host.state, &host.findings);
    let variant = host.variant.as_ref().map_or("", |variant| variant.as_str());
    let note = format!("{} {variant}", case.note);
    Case { seconds: host.seconds, note, ..case }
}

/// Returns a case whose message is that of the most severe finding.
pub fn by_findings(class: &'static str, name: String, state: HostState, all: &[Finding]) -> Case {
    let mut findings: Vec<&Finding> = all.iter().collect();
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    let message = match findings.first() {
        Some(first) => cut(&first.message),
        None => state.to_string(),
    };
    let texts: Vec<String> = findings.iter().map(|finding| describe(finding)).collect();
    let details = |kind| Details { kind, message: message.clone(), text: texts.join("\n") };
    let kind = findings.first().map_or("no-finding", |finding| finding.code).to_owned();
    let verdict = match state {
        HostState::Ok if none_is_an_error(all) => Verdict::Passed,
        // A host without the module is an error if the user named it.
        HostState::Unsupported if none_is_an_error(all) => Verdict::Skipped(message),
        HostState::EvalError | HostState::Timeout | HostState::OutOfMemory => {
            Verdict::Error(details(kind))
        }
        HostState::Ok | HostState::Finding | HostState::Unsupported => {
            Verdict::Failure(details(kind))
        }
    };
    let note = [vec![format!("{name}: {state}")], texts].concat().join("\n  ");
    Case { class, name, seconds: 0.0, verdict, note }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_fails_if_the_report_has_an_error() {
        let error = Finding::error("unfree", "message", "help");
        let warning = Finding::warning("noisy", "message", "help");
        let verdict =
            |state, findings: &[Finding]| by_findings("check", "a".into(), state, findings).verdict;
        assert_eq!(verdict(HostState::Ok, std::slice::from_ref(&warning)), Verdict::Passed);
        let Verdict::Failure(details) = verdict(HostState::Finding, &[warning, error.clone()])
        else {
            panic!("not a failure");
        };
        assert!(details.text.starts_with("error[unfree]"), "{}", details.text);
        for state in [HostState::EvalError, HostState::Timeout, HostState::OutOfMemory] {
            assert!(matches!(verdict(state, std::slice::from_ref(&error)), Verdict::Error(_)));
        }
        assert!(matches!(verdict(HostState::Ok, &[error]), Verdict::Failure(_)), "of the fleet");
    }
}
