//! One measurement: look at the target, run llama-bench there, judge what came back.

use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::domain::bench::{
    BenchReport, Ending, Expected, Model, Params, Run, Subject, judge, refuse_cpu,
};
use crate::domain::cpu::Cpu;
use crate::domain::finding::Finding;
use crate::domain::llama_bench::{Output, progress};
use crate::domain::microarch::Table;
use crate::sys::process::{Exit, Source};
use crate::sys::target::{Refused, Target};
use crate::ui::Ui;

/// Enough of stderr to hold a driver's complaint.
const STDERR_LINES: usize = 40;

/// A target that was reached.
#[derive(Debug, Clone)]
pub struct Machine {
    pub target: Target,
    pub cpu: Cpu,
}

impl Machine {
    /// Reaches the target and looks at its CPU; a target that refuses is a finding.
    pub fn discover(target: &Target) -> Result<Result<Self, Finding>> {
        let cpuinfo = match or_finding(target.read_file("/proc/cpuinfo"))? {
            Ok(cpuinfo) => cpuinfo,
            Err(finding) => return Ok(Err(finding)),
        };
        Ok(match Cpu::parse(&cpuinfo) {
            Ok(cpu) => Ok(Self { target: target.clone(), cpu }),
            Err(problem) => Err(Finding::error(
                "unknown-cpu",
                format!("{}: {problem}", target.name()),
                "measure on a Linux machine of x86_64 or aarch64",
            )),
        })
    }

    /// The microarchitecture that uses most of what this CPU can do.
    pub fn microarch(&self, table: &Table) -> Option<String> {
        table.detect(&self.cpu).map(str::to_owned)
    }
}

/// [`Refused`] is the user's to mend, all else broke.
pub fn or_finding<T>(outcome: Result<T>) -> Result<Result<T, Finding>> {
    match outcome {
        Ok(value) => Ok(Ok(value)),
        Err(error) => match error.downcast::<Refused>() {
            Ok(refused) => Ok(Err(refused.0)),
            Err(error) => Err(error),
        },
    }
}

/// Whether the variant may be sent there at all: asked before anything is copied.
pub fn preflight(machine: &Machine, subject: &Subject) -> Result<Vec<Finding>> {
    let table = Table::embedded().context("microarch.json")?;
    let detected = machine.microarch(&table);
    let expected = expected(machine, subject, &table, detected.as_deref(), None);
    Ok(refuse_cpu(&expected).into_iter().collect())
}

fn expected<'a>(
    machine: &'a Machine,
    subject: &'a Subject,
    table: &Table,
    detected: Option<&'a str>,
    params: Option<&Params>,
) -> Expected<'a> {
    let manifest = &subject.manifest;
    let mut lacking = table.missing_for_options(&manifest.cpu_options, &machine.cpu);
    let by_name = table.missing(&manifest.microarch, &machine.cpu).unwrap_or_default();
    lacking.extend(
        by_name.into_iter().filter(|feature| !lacking.contains(feature)).collect::<Vec<_>>(),
    );
    Expected {
        manifest,
        tests: params.map(Params::tests).unwrap_or_default(),
        target: machine.target.name(),
        seconds: params.map_or(0, |params| params.timeout.as_secs()),
        lacking,
        detected,
    }
}

/// Runs llama-bench, which lies at `llama_bench` on the machine, over `model`, which
/// lies at `model_path` there.
///
/// # Errors
/// Something of ours broke. What is wrong with the variant or the target is in the
/// report's findings, beside what was measured before.
pub fn measure(
    ui: &Ui,
    machine: &Machine,
    subject: &Subject,
    llama_bench: &str,
    (model, model_path): (&Model, &str),
    params: &Params,
) -> Result<BenchReport> {
    let table = Table::embedded().context("microarch.json")?;
    let detected = machine.microarch(&table);
    let expected = expected(machine, subject, &table, detected.as_deref(), Some(params));
    let report = |output, findings| {
        BenchReport::new(subject, machine.target.name(), model.clone(), output, findings)
    };
    let argv = params.argv(llama_bench, model_path, &subject.manifest.backends);
    let mut output = Output::default();
    let ran = run(ui, &machine.target, &argv, params.timeout, &mut output);
    match or_finding(ran)? {
        Ok((ending, stderr)) => {
            let run = Run { ending, output, stderr };
            let findings = judge(&run, &expected);
            Ok(report(Some(run.output), findings))
        }
        Err(finding) => Ok(report(Some(output), vec![finding])),
    }
}

/// `output` holds what came, also when this fails.
fn run(
    ui: &Ui,
    target: &Target,
    argv: &[String],
    timeout: Duration,
    output: &mut Output,
) -> Result<(Ending, String)> {
    let words: Vec<&str> = argv.iter().map(String::as_str).collect();
    ui.detail(format!("{}: {}", target.name(), words.join(" ")));
    let mut stderr: Vec<String> = vec![];
    let exit = target.run(&words, timeout, &mut |source, line| {
        let line = String::from_utf8_lossy(line);
        match (source, progress(&line)) {
            (Source::Stdout, _) => {
                if let Some(result) = output.line(&line) {
                    let speed = result.tokens_per_second;
                    ui.say(format!("  {:<10} {speed:>10.1} tokens/s", result.test));
                }
            }
            (Source::Stderr, Some(progress)) => {
                let counts = format!("{}/{}", progress.test, progress.tests);
                ui.detail(format!("  test {counts}: {}", progress.doing));
            }
            (Source::Stderr, None) => {
                ui.detail(&line);
                if stderr.len() == STDERR_LINES {
                    stderr.remove(0);
                }
                stderr.push(line.into_owned());
            }
        }
    });
    let ending = match exit {
        Ok(Exit::Code(code)) => Ending::Status(code),
        Ok(Exit::Signal(signal)) => Ending::Signal(signal),
        Ok(Exit::TimedOut | Exit::TooLarge) => Ending::TimedOut,
        Ok(Exit::Interrupted) => Ending::Interrupted,
        Err(error) => match not_started(&error) {
            Some(status) => return Ok((Ending::Status(status), format!("{error:#}"))),
            None => return Err(error),
        },
    };
    Ok((ending, stderr.join("\n")))
}

/// The status that a shell would give, were there one between.
fn not_started(error: &anyhow::Error) -> Option<i32> {
    use std::io::ErrorKind;
    let kind = error.root_cause().downcast_ref::<std::io::Error>()?.kind();
    match kind {
        ErrorKind::NotFound | ErrorKind::NotADirectory => Some(127),
        // Of another architecture, too: "Exec format error" has no kind of its own.
        _ => Some(126),
    }
}
