//! One measurement: run llama-bench on the target, judge what came back.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::bench::document::BenchReport;
use crate::bench::llama_bench::{About, Output, TestResult, last_name, names, progress};
use crate::bench::machine::Machine;
use crate::bench::measurement::{Model, Params, Run, Subject, Termination, judge, with_env};
use crate::bench::offload::Offload;
use crate::bench::preflight::expected;
use crate::system::disk;
use crate::system::process::{Exit, Source};
use crate::target::or_finding;
use crate::ui::progress::Live;
use crate::ui::{Ui, units};

/// Enough of stderr to hold a driver's complaint.
const STDERR_LINES: usize = 40;
const LONGEST_STDERR_LINE: usize = 4096;

/// What the runs of a measurement share, whichever build they are of.
#[derive(Clone, Copy)]
pub struct Setup<'a> {
    pub ui: &'a Ui,
    pub machine: &'a Machine,
    pub model: &'a Model,
    /// Where the model is on the machine.
    pub model_path: &'a str,
    pub params: &'a Params,
}

/// What is known from run to run of one measurement.
#[derive(Default)]
pub struct Results<'a> {
    /// The settings that are in the names of tests, see [`names`].
    pub differing: BTreeSet<String>,
    /// Called with each result, as soon as its name is known: without further arguments at
    /// once, else when the run has ended.
    pub keep: Option<Keep<'a>>,
    /// Shows what llama-bench does.
    pub live: Option<&'a Live>,
}

pub type Keep<'a> = &'a mut dyn FnMut(&About, &TestResult);

/// Runs llama-bench, which lies at `llama_bench` on the machine.
///
/// # Errors
/// Something of ours broke. What is wrong with the variant or the target is in the
/// report's findings, beside what was measured before.
pub fn measure(
    setup: Setup,
    subject: &Subject,
    llama_bench: &str,
    results: &mut Results,
) -> Result<BenchReport> {
    let Setup { machine, model, model_path, params, .. } = setup;
    let expected = expected(machine, subject, params)?;
    let argv = params.argv(llama_bench, model_path, &subject.manifest.backends);
    let mut output = Output::default();
    let (mut output, findings) = match or_finding(run(setup, &argv, &mut output, results))? {
        Ok((ending, stderr)) => {
            let run = Run { ending, output, stderr };
            let findings = judge(&run, &expected);
            (run.output, findings)
        }
        Err(finding) => (output, vec![finding]),
    };
    let names = names(&output.results, &mut results.differing);
    let mut named = vec![];
    for (result, test) in output.results.drain(..).zip(names) {
        let result = TestResult { test, ..result };
        if let (false, Some(keep), Some(about)) =
            (params.args.is_empty(), &mut results.keep, &output.about)
        {
            keep(about, &result);
        }
        result.add_to(&mut named);
    }
    let output = Output { results: named, ..output };
    Ok(BenchReport::new(subject, machine.target.name(), model.clone(), Some(output), findings))
}

/// Loads the model once with all that llama.cpp says about it, apart from what is timed:
/// where the weights of a GPU variant went. None where that could not be learnt; the
/// measurement will say why.
pub fn offload(setup: Setup, subject: &Subject) -> Result<Option<Offload>> {
    if subject.manifest.backends.iter().all(|backend| backend == "cpu") {
        return Ok(None);
    }
    let short = Params { prompt: 8, generate: 0, repetitions: 1, ..setup.params.clone() };
    let llama_bench = setup.machine.target.on_disk(&subject.llama_bench());
    let mut argv = short.argv(&llama_bench, setup.model_path, &subject.manifest.backends);
    argv.push("-v".to_owned());
    let mut offload = Offload::default();
    let exit = run_logged(setup, &argv, &mut |source, line| {
        if source == Source::Stderr {
            offload.line(line);
        }
    })?;
    Ok(matches!(exit, Ok(Exit::Code(0))).then_some(offload))
}

/// Runs a command on the machine, and keeps in the log what it prints on stderr. The inner
/// result is the command's.
fn run_logged(
    Setup { machine, params, .. }: Setup,
    argv: &[String],
    on_line: &mut dyn FnMut(Source, &str),
) -> Result<Result<Exit>> {
    let words: Vec<&str> = argv.iter().map(String::as_str).collect();
    let shown = with_env(&machine.env, &words);
    let mut log = BenchLog::append(machine.log.as_deref(), &shown)?;
    Ok(machine.run(&words, params.timeout, &mut |source, line| {
        let line = String::from_utf8_lossy(line);
        if source == Source::Stderr {
            log.line(&line);
        }
        on_line(source, &line);
    }))
}

/// `output` holds what came, also when this fails.
fn run(
    setup: Setup,
    argv: &[String],
    output: &mut Output,
    results: &mut Results,
) -> Result<(Termination, String)> {
    let ui = setup.ui;
    let mut stderr: Vec<String> = vec![];
    let exit = run_logged(setup, argv, &mut |source, line| match (source, progress(line)) {
        (Source::Stdout, _) => {
            if let Some(speed) = output.line(line).map(|result| result.tokens_per_second) {
                let name = last_name(&output.results, &mut results.differing);
                ui.status(format!(
                    "  {:<10} {:>10} tokens/s",
                    name.unwrap_or_default(),
                    units::speed(speed)
                ));
                if let (true, Some(keep), Some(about), Some(result)) = (
                    setup.params.args.is_empty(),
                    &mut results.keep,
                    &output.about,
                    output.results.last(),
                ) {
                    keep(about, result);
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
                stderr.remove(0);
            }
            stderr.push(line.chars().take(LONGEST_STDERR_LINE).collect::<String>());
        }
    })?;
    let ending = match exit {
        Ok(Exit::Code(code)) => Termination::Status(code),
        Ok(Exit::Signal(signal)) => Termination::Signal(signal),
        Ok(Exit::TimedOut | Exit::Stalled | Exit::TooLarge | Exit::GivenUp) => {
            Termination::TimedOut
        }
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
struct BenchLog(Option<Log>);

/// A target may print without end.
const LARGEST_LOG: usize = 64 << 20;

struct Log {
    file: BufWriter<File>,
    /// What it has been given.
    bytes: usize,
}

impl BenchLog {
    /// Goes on in the file, with the command as a heading.
    fn append(file: Option<&Path>, command: &[&str]) -> Result<Self> {
        let Some(file) = file else { return Ok(Self(None)) };
        let folder = file.parent().context("a log without a folder")?;
        disk::create(folder)?;
        let open = File::options().create(true).append(true).open(file);
        let open = open.with_context(|| format!("cannot write the log {}", file.display()))?;
        let mut log = Self(Some(Log { file: BufWriter::new(open), bytes: 0 }));
        log.line(&format!("$ {}", command.join(" ")));
        Ok(log)
    }

    /// A disk that is full costs the log, not the measurement.
    fn line(&mut self, line: &str) {
        let Some(log) = &mut self.0 else { return };
        let was_full = log.bytes > LARGEST_LOG;
        log.bytes += line.len() + 1;
        let _ = match (was_full, log.bytes > LARGEST_LOG) {
            (false, false) => writeln!(log.file, "{line}"),
            (false, true) => writeln!(log.file, "[the rest is not in this log]"),
            (true, _) => return,
        };
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
