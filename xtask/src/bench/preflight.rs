//! Checks, before anything is built or copied, whether the variant can run on the target, and after
//! the run, whether the target's state affected the results.

use anyhow::Result;

use crate::bench::document::BenchReport;
use crate::bench::machine::Machine;
use crate::bench::measurement::Subject;
use crate::bench::preflight_rules as rules;
use crate::findings::finding::{Finding, Severity, none_is_an_error};
use crate::hardware::cpu::Arch;
use crate::hardware::cpu_rules;
use crate::hardware::kv_cache;
use crate::hardware::threads;
use crate::target::model_file::FileState;

/// Checks whether the subject can run on the machine with these arguments. With `force`, errors
/// become warnings, in case a check is wrong.
pub fn preflight(
    machine: &Machine,
    subject: &Subject,
    args: &[String],
    force: bool,
) -> Vec<Finding> {
    let mut findings: Vec<Finding> = wrong_architecture(machine, subject).into_iter().collect();
    if findings.is_empty() {
        let (manifest, facts) = (&subject.manifest, &machine.facts);
        findings.extend(cpu_rules::sigill("cpu-lacks-features", manifest, facts));
    }
    if none_is_an_error(&findings) {
        let Machine { facts, state, target, .. } = machine;
        findings.extend(rules::findings(&subject.manifest, facts, state, target.name()));
        findings.extend(kv_cache::bench_findings(&subject.manifest, args));
        findings.extend(threads::bench_finding(args, facts));
    }
    if force {
        findings.iter_mut().for_each(|it| it.severity = it.severity.min(Severity::Warning));
    }
    findings
}

fn wrong_architecture(machine: &Machine, subject: &Subject) -> Option<Finding> {
    let system = &subject.manifest.system;
    let name = machine.target.name();
    (!machine.facts.cpu.arch.runs(system)).then(|| {
        Finding::error(
            "wrong-architecture",
            format!(
                "{} is built for {system}, but {name} is {}",
                subject.manifest.variant,
                match machine.facts.cpu.arch {
                    Arch::X86_64 => "x86_64",
                    Arch::Aarch64 => "aarch64",
                }
            ),
            "correct the host's system or its target in hosts/default.nix, or pass another \
             --target",
        )
    })
}

/// Returns the size of a model file on the target.
///
/// # Errors
/// [`crate::findings::finding::Finding`]: it is not a usable model.
pub fn model_on_target(machine: &Machine, path: &str) -> Result<u64> {
    let state = machine.target.file_state(path)?;
    state.bytes_of_model().map_err(|why| {
        Finding::error(
            "bad-model",
            format!("{path} on {} {why}", machine.target.name()),
            match state {
                FileState::Missing => {
                    "pass the path of a GGUF file on the target (--model, or the host's \
                     programs.llama-cpp.bench.model), or omit it to use the smoke model"
                }
                FileState::Unreadable => "make it readable for the login user",
                _ => "download it again, and compare its checksum with the publisher's",
            },
        )
        .into()
    })
}

/// Reads the target's state again, to report heat throttling and the kernel's OOM killer. A target
/// that cannot be reached has caused a finding already.
pub fn check_afterwards(machine: &Machine, report: &mut BenchReport) {
    let mut conditions = machine.state.conditions.clone();
    if let Ok(after) = Machine::discover(&machine.target) {
        let after = after.state.conditions;
        let name = machine.target.name();
        report.findings.extend(rules::throttled(&conditions, after.throttle_events, name));
        for finding in &mut report.findings {
            if finding.code == "out-of-memory" {
                *finding = rules::killed(finding, &conditions, &after, name);
            }
        }
        conditions.throttled_meanwhile = after
            .throttle_events
            .zip(conditions.throttle_events)
            .and_then(|(after, before)| after.checked_sub(before));
    }
    report.conditions = Some(conditions);
}
