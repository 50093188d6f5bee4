//! One measurement: look at the target, run llama-bench there, judge what came back.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::preflight::expected;
use crate::domain::bench::{Ending, Model, Params, Run, Subject, judge, with_env};
use crate::domain::bench_report::BenchReport;
use crate::domain::cpu::Cpu;
use crate::domain::facts::Facts;
use crate::domain::finding::Finding;
use crate::domain::llama_bench::{About, Output, TestResult, progress};
use crate::domain::microarch::Table;
use crate::domain::offload::Offload;
use crate::domain::probe::read;
use crate::domain::surroundings::Surroundings;
use crate::sys::bench_log::BenchLog;
use crate::sys::probe;
use crate::sys::process::{Exit, Source};
use crate::sys::target::{Refused, Target};
use crate::ui::Ui;

/// Enough of stderr to hold a driver's complaint.
const STDERR_LINES: usize = 40;

/// A target that was reached, and what it was like then.
#[derive(Debug, Clone)]
pub struct Machine {
    pub target: Target,
    pub cpu: Cpu,
    pub facts: Facts,
    pub around: Surroundings,
    /// `NAME=VALUE`, for what is measured there.
    pub env: Vec<String>,
    /// Where all that programs say on stderr is kept.
    pub log: Option<PathBuf>,
}

impl Machine {
    /// Reaches the target and looks at it, all in one go; one that refuses is a finding.
    pub fn discover(target: &Target) -> Result<Result<Self, Finding>> {
        let answer = match or_finding(probe::look_before_bench(target))? {
            Ok(answer) => answer,
            Err(finding) => return Ok(Err(finding)),
        };
        let table = Table::embedded().context("microarch.json")?;
        Ok(match read(target.name(), &answer, &table) {
            Ok(facts) => Ok(Self {
                target: target.clone(),
                cpu: facts.cpu(),
                around: Surroundings::read(&answer, facts.gpus.clone()),
                facts,
                env: vec![],
                log: None,
            }),
            Err(problem) => Err(Finding::error(
                "unknown-cpu",
                format!("{}: {problem}", target.name()),
                "measure on a Linux machine of x86_64 or aarch64",
            )),
        })
    }

    /// Runs a program of the subject there, with the user's `--env`.
    ///
    /// # Errors
    /// Those of [`Target::run`].
    pub fn run(
        &self,
        argv: &[&str],
        timeout: Duration,
        on_line: &mut dyn FnMut(Source, &[u8]),
    ) -> Result<Exit> {
        self.target.run(&with_env(&self.env, argv), timeout, on_line)
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

/// Told of each test as soon as it is measured.
pub type OnResult<'a> = &'a mut dyn FnMut(&About, &TestResult);

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
    on_result: OnResult,
) -> Result<BenchReport> {
    let table = Table::embedded().context("microarch.json")?;
    let detected = machine.microarch(&table);
    let expected = expected(machine, subject, &table, detected.as_deref(), Some(params));
    let report = |output, findings| {
        BenchReport::new(subject, machine.target.name(), model.clone(), output, findings)
    };
    let argv = params.argv(llama_bench, model_path, &subject.manifest.backends);
    let mut output = Output::default();
    let ran = run(ui, machine, &argv, params.timeout, &mut output, on_result);
    match or_finding(ran)? {
        Ok((ending, stderr)) => {
            let run = Run { ending, output, stderr };
            let findings = judge(&run, &expected);
            Ok(report(Some(run.output), findings))
        }
        Err(finding) => Ok(report(Some(output), vec![finding])),
    }
}

/// Loads the model once with all that llama.cpp says about it, apart from what is timed:
/// where the weights of a GPU variant went. None where that could not be learnt; the
/// measurement will say why.
pub fn offload(
    ui: &Ui,
    machine: &Machine,
    subject: &Subject,
    llama_bench: &str,
    model_path: &str,
    params: &Params,
) -> Result<Option<Offload>> {
    if subject.manifest.backends.iter().all(|backend| backend == "cpu") {
        return Ok(None);
    }
    let short = Params { prompt: 8, generate: 0, repetitions: 1, ..params.clone() };
    let mut argv = short.argv(llama_bench, model_path, &subject.manifest.backends);
    argv.push("-v".to_owned());
    let words: Vec<&str> = argv.iter().map(String::as_str).collect();
    let shown = with_env(&machine.env, &words);
    let mut log = BenchLog::append(machine.log.as_deref(), &shown)?;
    ui.detail(format!("{}: {}", machine.target.name(), shown.join(" ")));
    let mut offload = Offload::default();
    let exit = machine.run(&words, params.timeout, &mut |source, line| {
        if source == Source::Stderr {
            let line = String::from_utf8_lossy(line);
            log.line(&line);
            offload.line(&line);
        }
    });
    Ok(matches!(exit, Ok(Exit::Code(0))).then_some(offload))
}

/// `output` holds what came, also when this fails.
fn run(
    ui: &Ui,
    machine: &Machine,
    argv: &[String],
    timeout: Duration,
    output: &mut Output,
    on_result: OnResult,
) -> Result<(Ending, String)> {
    let words: Vec<&str> = argv.iter().map(String::as_str).collect();
    let target = &machine.target;
    let shown = with_env(&machine.env, &words);
    let mut log = BenchLog::append(machine.log.as_deref(), &shown)?;
    ui.detail(format!("{}: {}", target.name(), shown.join(" ")));
    let mut stderr: Vec<String> = vec![];
    let exit = machine.run(&words, timeout, &mut |source, line| {
        let line = String::from_utf8_lossy(line);
        if source == Source::Stderr {
            log.line(&line);
        }
        match (source, progress(&line)) {
            (Source::Stdout, _) => {
                if let Some(result) = output.line(&line) {
                    let speed = result.tokens_per_second;
                    ui.say(format!("  {:<10} {speed:>10.1} tokens/s", result.test));
                    if let (Some(about), Some(result)) = (&output.about, output.results.last()) {
                        on_result(about, result);
                    }
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
        Ok(Exit::TimedOut | Exit::TooLarge | Exit::GivenUp) => Ending::TimedOut,
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
