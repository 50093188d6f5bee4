//! Runs llama-bench once on the target, and judges its output.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::slice;

use anyhow::{Context as _, Result};

use crate::bench::comparison::Samples;
use crate::bench::document::BenchReport;
use crate::bench::llama_bench::{About, Output, TestResult, last_name, progress};
use crate::bench::machine::Machine;
use crate::bench::measurement::{
    Expected, Model, Params, Run, Subject, Termination, is_error, judge, with_env,
};
use crate::bench::offload::Offload;
use crate::findings::finding::Finding;
use crate::system::disk;
use crate::system::process::{Exit, Source};
use crate::ui::progress::Live;
use crate::ui::{Ui, units};

/// Last lines of stderr that are searched for an error message, such as a driver's.
const STDERR_LINES: usize = 40;
const MAX_STDERR_LINE: usize = 4096;

/// What all runs of a measurement share, whichever build they measure.
#[derive(Clone, Copy)]
pub struct Setup<'a> {
    pub ui: &'a Ui,
    pub machine: &'a Machine,
    pub model: &'a Model,
    /// The model's path on the machine.
    pub model_path: &'a str,
    pub params: &'a Params,
}

/// State that the runs of one measurement pass on, and receivers of their results.
#[derive(Default)]
pub struct Results<'a> {
    /// Settings that are part of test names, see [`last_name`].
    pub differing: BTreeSet<String>,
    /// Called with each result as soon as its name is known: at once, or with further arguments
    /// when the run has ended.
    pub on_result: Option<OnResult<'a>>,
    /// Shows llama-bench's progress.
    pub live: Option<&'a Live>,
}

pub type OnResult<'a> = &'a mut dyn FnMut(&About, &TestResult);

impl Results<'_> {
    fn report(&mut self, about: Option<&About>, result: &TestResult) {
        if let (Some(on_result), Some(about)) = (&mut self.on_result, about) {
            on_result(about, result);
        }
    }
}

/// Runs llama-bench once.
///
/// # Errors
/// A failure of xtask itself. Problems of the variant or the target are findings of the report,
/// which has the results before them.
pub fn measure(setup: Setup, subject: &Subject, results: &mut Results) -> Result<BenchReport> {
    let Setup { machine, model, params, .. } = setup;
    let (mut output, findings) = run(setup, subject, results)?;
    // If one process measured a test twice, the samples are merged into one result.
    let mut samples = Samples::default();
    for result in &mut output.results {
        result.test = result.name(&results.differing);
        if !params.args.is_empty() {
            results.report(output.about.as_ref(), result);
        }
        samples.add(slice::from_ref(result));
    }
    let target = machine.target.name();
    let mut report = BenchReport::new(subject, target, model.clone(), Some(output), findings);
    report.results = samples.results();
    Ok(report)
}

/// Loads the model of a GPU variant once with verbose output, before the timed runs, and returns
/// which devices hold its weights. None if that failed; the measurement will report the error.
pub fn offload(setup: Setup, subject: &Subject) -> Result<Option<Offload>> {
    if subject.manifest.backends.iter().all(|backend| backend == "cpu") {
        return Ok(None);
    }
    let short = Params { prompt: 8, generate: 0, repetitions: 1, ..setup.params.clone() };
    let mut offload = Offload::default();
    let exit = run_verbose(setup, &short, subject, &mut |line| offload.line(line))?;
    Ok(matches!(exit, Ok(Exit::Code(0))).then_some(offload))
}

/// Runs llama-bench with `-v`, without which it hides llama.cpp's messages.
fn run_verbose(
    setup: Setup,
    params: &Params,
    subject: &Subject,
    on_line: &mut dyn FnMut(&str),
) -> Result<Result<Exit>> {
    let Setup { machine, model_path, .. } = setup;
    let mut argv =
        params.argv(&machine.llama_bench(subject), model_path, &subject.manifest.backends);
    argv.push("-v".to_owned());
    run_logged(setup, &argv, &mut |source, line| {
        if source == Source::Stderr {
            on_line(line);
        }
    })
}

/// Runs a command on the machine, and appends its stderr to the log. The inner result is the
/// command's.
fn run_logged(
    Setup { machine, params, .. }: Setup,
    argv: &[String],
    on_line: &mut dyn FnMut(Source, &str),
) -> Result<Result<Exit>> {
    let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
    let command = with_env(&machine.env, &argv);
    let mut log = machine.log.as_ref().map(|file| Log::append(file, &command)).transpose()?;
    Ok(machine.run(&argv, params.timeout, &mut |source, line| {
        let line = String::from_utf8_lossy(line);
        if let (Source::Stderr, Some(log)) = (source, &mut log) {
            log.line(&line);
        }
        on_line(source, &line);
    }))
}

/// Runs llama-bench; returns its output and all findings.
fn run(setup: Setup, subject: &Subject, results: &mut Results) -> Result<(Output, Vec<Finding>)> {
    let Setup { ui, machine, model_path, params, .. } = setup;
    let manifest = &subject.manifest;
    let argv = params.argv(&machine.llama_bench(subject), model_path, &manifest.backends);
    let (mut output, mut stderr) = (Output::default(), Vec::<String>::new());
    let exit = run_logged(setup, &argv, &mut |source, line| match (source, progress(line)) {
        (Source::Stdout, _) => {
            if output.line(line).is_some()
                && let Some(result) = output.results.last()
            {
                let name = last_name(&output.results, &mut results.differing).unwrap_or_default();
                let speed = units::speed(result.tokens_per_second);
                ui.status(format!("  {name:<10} {speed:>10} tokens/s"));
                if params.args.is_empty() {
                    results.report(output.about.as_ref(), result);
                }
            }
        }
        (Source::Stderr, Some(progress)) => {
            if let Some(live) = results.live {
                live.doing(&format!("test {progress}"));
            }
            ui.debug(format!("  test {progress}"));
        }
        (Source::Stderr, None) => {
            ui.debug(line);
            if stderr.len() == STDERR_LINES {
                // A backtrace of many threads may follow the error.
                stderr.remove(stderr.iter().position(|line| !is_error(line)).unwrap_or(0));
            }
            stderr.push(line.chars().take(MAX_STDERR_LINE).collect::<String>());
        }
    })?;
    let termination = match exit {
        Ok(Exit::Code(code)) => Termination::Status(code),
        Ok(Exit::Signal(signal)) => Termination::Signal(signal),
        Ok(Exit::TimedOut | Exit::Stalled | Exit::TooLarge | Exit::GivenUp) => {
            Termination::TimedOut
        }
        Ok(Exit::Interrupted) => Termination::Interrupted,
        Err(error) => match not_started(&error) {
            Some(status) => {
                stderr = vec![format!("{error:#}")];
                Termination::Status(status)
            }
            None => return Ok((output, vec![error.downcast::<Finding>()?])),
        },
    };
    if output.results.is_empty() && is_unexplained(termination) {
        let mut errors = vec![];
        let once = Params { repetitions: 1, ..params.clone() };
        let _ = run_verbose(setup, &once, subject, &mut |line| {
            ui.debug(line);
            if errors.len() < STDERR_LINES && is_error(line) {
                errors.push(line.chars().take(MAX_STDERR_LINE).collect::<String>());
            }
        })?;
        if !errors.is_empty() {
            stderr = errors;
        }
    }
    let run = Run { termination, output, stderr: stderr.join("\n") };
    let (target, cpu) = (machine.target.name(), &machine.facts.cpu);
    let findings = judge(&run, &Expected { manifest, params, target, cpu });
    Ok((run.output, findings))
}

/// Whether llama.cpp's messages may tell why llama-bench failed.
fn is_unexplained(termination: Termination) -> bool {
    match termination {
        Termination::Status(status) => (1..=125).contains(&status),
        Termination::Signal(signal) => [libc::SIGABRT, libc::SIGSEGV].contains(&signal),
        Termination::TimedOut | Termination::Interrupted => false,
    }
}

/// Maximum size of a log, in bytes; the rest of the output is dropped.
const MAX_LOG: usize = 64 << 20;

/// The log of llama-bench's stderr, to explain strange results after the run.
struct Log {
    file: BufWriter<File>,
    /// Size of the file, including the output of earlier runs.
    bytes: usize,
}

impl Log {
    /// Opens the file and appends the command as a heading.
    fn append(file: &Path, command: &[&str]) -> Result<Self> {
        disk::create(file.parent().context("a log without a folder")?)?;
        let open = File::options().create(true).append(true).open(file);
        let open = open.with_context(|| format!("cannot write the log {}", file.display()))?;
        let bytes = usize::try_from(open.metadata()?.len())?;
        let mut log = Self { file: BufWriter::new(open), bytes };
        log.line(&format!("$ {}", command.join(" ")));
        Ok(log)
    }

    /// Appends a line. An error, such as a full disk, is ignored: it must not end the measurement.
    fn line(&mut self, line: &str) {
        let was_full = self.bytes > MAX_LOG;
        self.bytes += line.len() + 1;
        let _ = match (was_full, self.bytes > MAX_LOG) {
            (false, false) => writeln!(self.file, "{line}"),
            (false, true) => writeln!(self.file, "[the rest is not in this log]"),
            (true, _) => return,
        };
    }
}

/// Returns the exit status that a shell reports for a program that cannot be started.
fn not_started(error: &anyhow::Error) -> Option<i32> {
    use std::io::ErrorKind;
    let kind = error.root_cause().downcast_ref::<std::io::Error>()?.kind();
    match kind {
        ErrorKind::NotFound | ErrorKind::NotADirectory => Some(127),
        // Also "Exec format error" (another architecture), which has no `ErrorKind`.
        _ => Some(126),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_of_several_runs_is_limited() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("bench.log");
        for _ in 0..3 {
            Log::append(&file, &["llama-bench"]).unwrap().line("a driver complains");
        }
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(text, "$ llama-bench\na driver complains\n".repeat(3));
        File::options().write(true).open(&file).unwrap().set_len(MAX_LOG as u64 - 1).unwrap();
        for _ in 0..3 {
            Log::append(&file, &["llama-bench"]).unwrap().line("a driver complains");
        }
        let length = file.metadata().unwrap().len();
        assert!((1..100).contains(&(length - MAX_LOG as u64)), "{length}");
    }
}
