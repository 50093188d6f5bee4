//! Evaluation of hosts: together, since they share most of it; each alone where that
//! fails, so that every fault lands on its host.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::cmd::context::Context;
use crate::domain::check::{Evaluated, HostState};
use crate::domain::diagnose::{diagnose, line_of_option};
use crate::domain::finding::Finding;
use crate::domain::manifest::Answer;
use crate::domain::names::HostName;
use crate::domain::verify;
use crate::sys::flake::Unanswered;
use crate::sys::process::Exit;
use crate::sys::{files, interrupt};
use crate::ui::progress::Spinner;

pub type Outcomes = BTreeMap<HostName, (Evaluated, f64)>;

/// Evaluates all hosts in one process, which shares what they have in common. If that
/// fails, each host alone, so that no host's fault hides another's state.
pub fn evaluate(
    context: &Context,
    hosts: &[HostName],
    jobs: Option<std::num::NonZeroUsize>,
    timeout: Duration,
) -> Result<Outcomes> {
    let spinner = Spinner::start(&context.ui, "evaluating", hosts.len());
    let started = Instant::now();
    match context.flake.select(hosts, Some(timeout)) {
        Ok(Ok(mut selections)) => {
            let share = started.elapsed().as_secs_f64() / hosts.len().max(1) as f64;
            spinner.finish();
            // Places are only worth a call of Nix where there is something to mend.
            let mended = |answer: &Option<Answer>| !matches!(answer, Some(Answer::Problems(_)));
            let source =
                if selections.values().all(mended) { None } else { context.flake.source() };
            return Ok(hosts
                .iter()
                .filter_map(|host| {
                    let answer = selections.remove(host)?;
                    Some((host.clone(), (answered(answer, source.as_deref()), share)))
                })
                .collect());
        }
        Ok(Err(failure)) if failure.exit == Exit::Interrupted => anyhow::bail!("interrupted"),
        // With one host, the batch's failure is the host's.
        Ok(Err(failure)) if hosts.len() == 1 => {
            spinner.finish();
            let logs = log_folder(context)?;
            let source = context.flake.source();
            let evaluated = failed(&hosts[0], &failure, source.as_deref(), &logs)?;
            let seconds = started.elapsed().as_secs_f64();
            return Ok(BTreeMap::from([(hosts[0].clone(), (evaluated, seconds))]));
        }
        Ok(Err(_)) | Err(_) => {}
    }
    let cores = std::thread::available_parallelism().unwrap_or(std::num::NonZeroUsize::MIN);
    apart(context, hosts, jobs.unwrap_or(cores).get(), timeout, &spinner)
}

/// Each host in a process of its own, `jobs` at a time.
fn apart(
    context: &Context,
    hosts: &[HostName],
    jobs: usize,
    timeout: Duration,
    spinner: &Spinner,
) -> Result<Outcomes> {
    let logs = log_folder(context)?;
    let source = context.flake.source();
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(BTreeMap::new());
    let work = || -> Result<()> {
        while let Some(host) = hosts.get(next.fetch_add(1, Ordering::Relaxed)) {
            if interrupt::requested() {
                anyhow::bail!("interrupted");
            }
            let started = Instant::now();
            let evaluated = alone(context, host, timeout, source.as_deref(), &logs)?;
            spinner.done(host.as_str());
            let outcome = (evaluated, started.elapsed().as_secs_f64());
            if let Ok(mut outcomes) = outcomes.lock() {
                outcomes.insert(host.clone(), outcome);
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs.clamp(1, hosts.len())).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| {
            worker.join().unwrap_or_else(|_| Err(anyhow::anyhow!("an evaluation thread panicked")))
        })
    })?;
    spinner.finish();
    outcomes.into_inner().map_err(|_| anyhow::anyhow!("an evaluation thread panicked"))
}

fn alone(
    context: &Context,
    host: &HostName,
    timeout: Duration,
    source: Option<&str>,
    logs: &Path,
) -> Result<Evaluated> {
    match context.flake.select(std::slice::from_ref(host), Some(timeout)) {
        Ok(Ok(mut selections)) => Ok(match selections.remove(host) {
            Some(selection) => answered(selection, source),
            None => half_an_answer("the answer names another host"),
        }),
        Ok(Err(failure)) if failure.exit == Exit::Interrupted => anyhow::bail!("interrupted"),
        Ok(Err(failure)) => failed(host, &failure, source, logs),
        Err(error) => Ok(half_an_answer(&format!("{error:#}"))),
    }
}

fn answered(answer: Option<Answer>, source: Option<&str>) -> Evaluated {
    match answer {
        Some(Answer::Selection(selection)) => Evaluated::Selected(selection),
        Some(Answer::Problems(problems)) => {
            let findings = verify::assertions(&problems, source);
            Evaluated::Problems(findings.into_iter().map(|f| with_line(f, source)).collect())
        }
        None => Evaluated::Unsupported(Finding::error(
            "no-module",
            "this host does not use the llama-cpp module, or does not enable it",
            "import `nixosModules.llama-cpp` and set `programs.llama-cpp.enable`, or name the hosts \
             that are to be checked",
        )),
    }
}

fn half_an_answer(what: &str) -> Evaluated {
    let finding = Finding::error("half-an-answer", what, "run the check again with -v");
    Evaluated::Failed { state: HostState::EvalError, finding }
}

/// The state and the finding for a host that Nix gave no answer for; the trace goes to a log.
fn failed(
    host: &HostName,
    failure: &Unanswered,
    source: Option<&str>,
    logs: &Path,
) -> Result<Evaluated> {
    let log = logs.join(format!("{}.log", files::safe_name(host.as_str())));
    let text = format!("$ {}\n{}\n[{}]\n", failure.command, failure.stderr, failure.exit);
    files::write_atomically(&log, text.as_bytes())?;
    let (state, mut finding) = match failure.exit {
        Exit::TimedOut => (
            HostState::Timeout,
            Finding::error(
                "timeout",
                "the evaluation did not end in time",
                "look for a value that grows without end, or give it longer with --timeout",
            ),
        ),
        Exit::Signal(libc::SIGKILL) | Exit::Code(137) => (
            HostState::OutOfMemory,
            Finding::error(
                "out-of-memory",
                "the evaluator was killed, most likely for want of memory",
                "run fewer evaluators with --jobs 1, or add memory or swap",
            ),
        ),
        Exit::Signal(_) if failure.stderr.contains("memory") => (
            HostState::OutOfMemory,
            Finding::error(
                "out-of-memory",
                "the evaluator ran out of memory",
                "run fewer evaluators with --jobs 1, or add memory or swap",
            ),
        ),
        _ => (HostState::EvalError, diagnose(&failure.stderr, source)),
    };
    finding = with_line(finding, source);
    finding.help = format!("{} (trace: {})", finding.help, log.display());
    Ok(Evaluated::Failed { state, finding })
}

/// Where only the file is known: the line that defines the option, from the flake's copy.
fn with_line(mut finding: Finding, source: Option<&str>) -> Finding {
    if let (Some(source), Some(file), None) = (source, &mut finding.file, finding.line) {
        // The module system names what was imported, and a folder stands for its default.nix.
        if !file.ends_with(".nix") {
            file.push_str("/default.nix");
        }
        let text = files::read(&Path::new(source).join(file)).unwrap_or_default();
        finding.line = line_of_option(&finding.message, &text);
    }
    finding
}

fn log_folder(context: &Context) -> Result<PathBuf> {
    let folder = context.home.join("logs/check");
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make the log folder {}", folder.display()))?;
    Ok(folder)
}
