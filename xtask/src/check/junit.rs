//! The report of `check` as JUnit test cases.

use crate::check::outcomes::HostState;
use crate::check::report::{CheckReport, HostReport};
use crate::ci::junit::{Case, Trouble, Verdict, cut, describe};
use crate::findings::finding::{Finding, none_is_an_error};

/// A case for the fleet's own findings, and for each host and package.
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

pub fn by_findings(class: &'static str, name: String, state: HostState, all: &[Finding]) -> Case {
    // Errors first: the message is the first of them.
    let mut findings: Vec<&Finding> = all.iter().collect();
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    let message = match findings.first() {
        Some(first) => cut(&first.message),
        None => state.to_string(),
    };
    let texts: Vec<String> = findings.iter().map(|finding| describe(finding)).collect();
    let trouble = |kind| Trouble { kind, message: message.clone(), text: texts.join("\n") };
    let kind = findings.first().map_or("no-finding", |finding| finding.code).to_owned();
    let verdict = match state {
        HostState::Ok if none_is_an_error(all) => Verdict::Passed,
        HostState::Ok | HostState::Finding => Verdict::Failure(trouble(kind)),
        HostState::EvalError | HostState::Timeout | HostState::OutOfMemory => {
            Verdict::Error(trouble(kind))
        }
        // One that was asked for by name.
        HostState::Unsupported if !none_is_an_error(all) => Verdict::Failure(trouble(kind)),
        HostState::Unsupported => Verdict::Skipped(message),
    };
    let note = [vec![format!("{name}: {state}")], texts].concat().join("\n  ");
    Case { class, name, seconds: 0.0, verdict, note }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::finding::Finding;

    #[test]
    fn a_case_is_red_where_the_report_is() {
        let error = Finding::error("unfree", "message", "help");
        let warning = Finding::warning("noisy", "message", "help");
        let verdict =
            |state, findings: &[Finding]| by_findings("check", "a".into(), state, findings).verdict;
        assert_eq!(verdict(HostState::Ok, std::slice::from_ref(&warning)), Verdict::Passed);
        let Verdict::Failure(trouble) = verdict(HostState::Finding, &[warning, error.clone()])
        else {
            panic!("not a failure");
        };
        assert!(trouble.text.starts_with("error[unfree]"), "{}", trouble.text);
        for state in [HostState::EvalError, HostState::Timeout, HostState::OutOfMemory] {
            assert!(matches!(verdict(state, std::slice::from_ref(&error)), Verdict::Error(_)));
        }
        assert!(matches!(verdict(HostState::Ok, &[error]), Verdict::Failure(_)), "the fleet's");
    }
}
