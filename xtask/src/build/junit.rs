//! Turns the report of `build-all` into JUnit test cases.

use std::collections::BTreeMap;

use crate::build::report::{BuildReport, VariantReport};
use crate::build::variants::BuildState;
use crate::check::junit::{by_findings, of_host};
use crate::check::outcomes::HostState;
use crate::ci::junit::{Case, Details, Verdict, cut};

/// Returns a case for each variant, and one for each host that does not evaluate.
pub fn of_build(report: &BuildReport) -> Vec<Case> {
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    for variant in &report.variants {
        *names.entry(variant.build.variant.as_str()).or_default() += 1;
    }
    let variants = report.variants.iter().map(|variant| {
        let name = variant.build.variant.as_str();
        // CI systems track a case by its name, so it contains hosts only if it must.
        let name = match names.get(name) {
            Some(1) => name.to_owned(),
            _ => format!("{name} ({})", variant.build.wanted_by()),
        };
        of_variant(name, variant)
    });
    let hosts = report.hosts.iter().map(|host| of_host("build-all.hosts", host));
    // Links and pushes have a case only if there are findings about them.
    let run = (!report.findings.is_empty())
        .then(|| by_findings("build-all.run", "run".to_owned(), HostState::Ok, &report.findings));
    variants.chain(hosts).chain(run).collect()
}

fn of_variant(name: String, variant: &VariantReport) -> Case {
    let hosts = variant.build.wanted_by();
    let state = variant.state;
    let verdict = match state {
        _ if state.ok() => Verdict::Passed,
        BuildState::Unsupported | BuildState::Interrupted => Verdict::Skipped(variant.summary()),
        _ => {
            let message = cut(&variant.summary());
            let mut text = variant.log_tail.iter().map(|line| cut(line)).collect::<Vec<_>>();
            text.extend(variant.log.iter().map(|log| format!("full log: {log}")));
            Verdict::Failure(Details { kind: state.to_string(), message, text: text.join("\n") })
        }
    };
    let out = variant.out_path.as_ref().map_or("", |out| out.as_str());
    let note = format!("{name}: {state}, for {hosts} {out}");
    Case { class: "build-all", name, seconds: variant.seconds, verdict, note }
}
