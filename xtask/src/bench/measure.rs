//! One measurement: look at the target, run llama-bench there, judge what came back.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::bench::document::BenchReport;
use crate::bench::llama_bench::{Output, TestResult, names, progress};
use crate::bench::machine::Machine;
use crate::bench::measurement::{Model, Params, Run, Subject, Termination, judge, with_env};
use crate::bench::offload::Offload;
use crate::bench::preflight::expected;
use crate::hardware::microarch::Table;
use crate::system::disk;
use crate::system::process::{Exit, Source};
use crate::target::or_finding;
use crate::ui::Ui;

/// Enough of stderr to hold a driver's complaint.
const STDERR_LINES: usize = 40;

/// Runs llama-bench, which lies at `llama_bench` on the machine, over `model`, which
/// lies at `model_path` there. `differing`: see [`names`].
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
    differing: &mut BTreeSet<String>,
) -> Result<BenchReport> {
    let table = Table::embedded().context("microarch.json")?;
    let detected = machine.microarch(&table);
    let expected = expected(machine, subject, &table, detected.as_deref(), params);
    let mut report = |mut output: Output, findings| {
        let names = names(&output.results, differing);
        let mut results = vec![];
        for (result, test) in output.results.into_iter().zip(names) {
            TestResult { test, ..result }.add_to(&mut results);
        }
        output.results = results;
        BenchReport::new(subject, machine.target.name(), model.clone(), Some(output), findings)
    };
    let argv = params.argv(llama_bench, model_path, &subject.manifest.backends);
    let mut output = Output::default();
    let ran = run(ui, machine, &argv, params.timeout, &mut output);
    match or_finding(ran)? {
        Ok((ending, stderr)) => {
            let run = Run { ending, output, stderr };
            let findings = judge(&run, &expected);
            Ok(report(run.output, findings))
        }
        Err(finding) => Ok(report(output, vec![finding])),
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
    ui.debug(format!("{}: {}", machine.target.name(), shown.join(" ")));
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
pub fn run(
    ui: &Ui,
    machine: &Machine,
    argv: &[String],
    timeout: Duration,
    output: &mut Output,
) -> Result<(Termination, String)> {
    let words: Vec<&str> = argv.iter().map(String::as_str).collect();
    let target = &machine.target;
    let shown = with_env(&machine.env, &words);
    let mut log = BenchLog::append(machine.log.as_deref(), &shown)?;
    ui.debug(format!("{}: {}", target.name(), shown.join(" ")));
    let mut stderr: Vec<String> = vec![];
    let mut differing = BTreeSet::new();
    let exit = machine.run(&words, timeout, &mut |source, line| {
        let line = String::from_utf8_lossy(line);
        if source == Source::Stderr {
            log.line(&line);
        }
        match (source, progress(&line)) {
            (Source::Stdout, _) => {
                if let Some(speed) = output.line(&line).map(|result| result.tokens_per_second) {
                    let name = names(&output.results, &mut differing).pop().unwrap_or_default();
                    ui.status(format!("  {name:<10} {speed:>10.1} tokens/s"));
                }
            }
            (Source::Stderr, Some(progress)) => {
                let counts = format!("{}/{}", progress.test, progress.tests);
                ui.debug(format!("  test {counts}: {}", progress.doing));
            }
            (Source::Stderr, None) => {
                ui.debug(&line);
                if stderr.len() == STDERR_LINES {
                    stderr.remove(0);
                }
                stderr.push(line.into_owned());
            }
        }
    });
    let ending = match exit {
        Ok(Exit::Code(code)) => Termination::Status(code),
        Ok(Exit::Signal(signal)) => Termination::Signal(signal),
        Ok(Exit::TimedOut | Exit::TooLarge | Exit::GivenUp) => Termination::TimedOut,
        Ok(Exit::Interrupted) => Termination::Interrupted,
        Err(error) => match not_started(&error) {
            Some(status) => return Ok((Termination::Status(status), format!("{error:#}"))),
            None => return Err(error),
        },
    };
    Ok((ending, stderr.join("\n")))
}

/// The log of llama-bench's stderr: a driver's complaint matters when the figures are strange, and
/// by then the run is over. No log where no file is named.
struct BenchLog(Option<BufWriter<File>>);

impl BenchLog {
    /// Goes on in the file, with the command as a heading.
    fn append(file: Option<&Path>, command: &[&str]) -> Result<Self> {
        let Some(file) = file else { return Ok(Self(None)) };
        let folder = file.parent().context("a log without a folder")?;
        disk::create(folder)?;
        let open = File::options().create(true).append(true).open(file);
        let open = open.with_context(|| format!("cannot write the log {}", file.display()))?;
        let mut log = Self(Some(BufWriter::new(open)));
        log.line(&format!("$ {}", command.join(" ")));
        Ok(log)
    }

    /// A disk that is full costs the log, not the measurement.
    fn line(&mut self, line: &str) {
        if let Some(file) = &mut self.0 {
            let _ = writeln!(file, "{line}");
        }
    }
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
