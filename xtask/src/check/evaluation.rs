//! Evaluation of hosts: in batches, since hosts share most of it, spread over evaluators
//! by cores and memory. An evaluator that fails takes one host with it, the one whose
//! turn it was; those it had not come to are another's.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::check::args::CheckArgs;
use crate::check::batch::{self, EvalLimits};
use crate::check::evaluator::{self, Limits, Run};
use crate::check::report::{Evaluated, HostState, NO_MODULE};
use crate::check::variant_rules;
use crate::findings::finding::Finding;
use crate::fleet::context::Context;
use crate::fleet::manifest::Answer;
use crate::nix::diagnosis::{FETCH, diagnose, line_of_option};
use crate::nix::flake::Unanswered;
use crate::nix::lockfile::LockFile;
use crate::nix::names::HostName;
use crate::system::interrupt::Interrupted;
use crate::system::process::Exit;
use crate::system::{files, interrupt};
use crate::ui::progress::Spinner;

pub type Outcomes = BTreeMap<HostName, (Evaluated, f64)>;

/// What the user chose of how to evaluate.
#[derive(Debug, Clone, Copy)]
pub struct EvalOptions {
    pub jobs: Option<NonZeroUsize>,
    pub max_memory: Option<u64>,
    /// For each host.
    pub timeout: Duration,
}

impl Default for EvalOptions {
    fn default() -> Self {
        Self { jobs: None, max_memory: None, timeout: Duration::from_secs(600) }
    }
}

impl EvalOptions {
    pub fn of(args: &CheckArgs) -> Self {
        let timeout = args.timeout;
        Self { jobs: args.jobs, max_memory: args.max_memory, timeout }
    }
}

/// Every host that was asked for, with what became of it and the seconds it took.
///
/// # Errors
/// Nix cannot be started, or the user interrupted.
pub fn evaluate(context: &Context, hosts: &[HostName], ask: EvalOptions) -> Result<Outcomes> {
    let stands = |host: &HostName| Some((host.clone(), context.answers()?.answer(host)?.clone()));
    let mut state = State::default();
    state.answers.extend(hosts.iter().filter_map(stands).map(|(host, it)| (host, (Ok(it), 0.0))));
    let anew = |host: &&HostName| !state.answers.contains_key(*host);
    let anew: Vec<HostName> = hosts.iter().filter(anew).cloned().collect();
    if !anew.is_empty() {
        let mut found = evaluate_anew(context, &anew, ask)?;
        // The answers are as good where they cannot be kept.
        if let Err(error) = keep(context, &found) {
            context.ui.debug(format!("cannot write the evaluation cache: {error:#}"));
        }
        state.answers.append(&mut found.answers);
        state.failures = found.failures;
    }
    report(context, state)
}

fn evaluate_anew(context: &Context, hosts: &[HostName], ask: EvalOptions) -> Result<State> {
    let cores = crate::system::resources::cores();
    let jobs = ask.jobs.map(NonZeroUsize::get);
    let means =
        EvalLimits::new(jobs, ask.max_memory, cores, crate::system::resources::free_memory());
    let work = Work {
        context,
        ask,
        means,
        spinner: Spinner::start(&context.ui, "evaluating", hosts.len()),
        state: Mutex::default(),
        changed: Condvar::new(),
    };
    let batches = batch::split(hosts, means.jobs);
    let workers = means.jobs.min(batches.len());
    work.lock().queue.extend(batches);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(|| work.until_done())).collect();
        workers.into_iter().try_for_each(|worker| {
            worker.join().unwrap_or_else(|_| Err(anyhow::anyhow!("an evaluation thread panicked")))
        })
    })?;
    // Those that want more than a share get all there is, one after another.
    let heavy = std::mem::take(&mut work.lock().heavy);
    for host in heavy {
        work.batch(&[host], means.memory)?;
    }
    work.spinner.finish();
    Ok(work.state.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Answers only, never failures: those may be the machine's.
fn keep(context: &Context, found: &State) -> Result<()> {
    let Some(kept) = context.answers() else { return Ok(()) };
    let hosts = context.all_hosts()?.iter().map(ToString::to_string).collect();
    let whole = |(host, (answer, _)): (&HostName, &(Result<Value, String>, f64))| {
        Some((host.to_string(), answer.as_ref().ok()?.clone()))
    };
    kept.keep(&context.flake, hosts, found.answers.iter().filter_map(whole).collect())
}

/// For Nix where the network is known to fail.
const IMPATIENT: [&str; 6] =
    ["--option", "download-attempts", "1", "--option", "connect-timeout", "5"];

/// What evaluators share.
struct Work<'a> {
    context: &'a Context,
    ask: EvalOptions,
    means: EvalLimits,
    spinner: Spinner,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Vec<HostName>>,
    busy: usize,
    broken: bool,
    heavy: Vec<HostName>,
    /// An input could not be fetched: no other host waits for it as long.
    is_offline: bool,
    answers: BTreeMap<HostName, (Result<Value, String>, f64)>,
    failures: BTreeMap<HostName, (Unanswered, f64)>,
}

impl Work<'_> {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes batches until there are none, and none can come back from another worker.
    fn until_done(&self) -> Result<()> {
        loop {
            let mut state = self.lock();
            let batch = loop {
                match state.queue.pop_front() {
                    _ if state.broken => return Ok(()),
                    Some(batch) => break batch,
                    None if state.busy == 0 => return Ok(()),
                    None => {
                        state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                    }
                }
            };
            state.busy += 1;
            drop(state);
            let ended = self.batch(&batch, self.means.share());
            let mut state = self.lock();
            state.busy -= 1;
            state.broken |= ended.is_err();
            drop(state);
            self.changed.notify_all();
            ended?;
        }
    }

    fn batch(&self, hosts: &[HostName], memory: u64) -> Result<()> {
        interrupt::check()?;
        let limits = Limits { timeout: self.ask.timeout, memory };
        let mut flake = self.context.flake.clone();
        if self.lock().is_offline {
            flake.options.extend(IMPATIENT.map(str::to_owned));
        }
        let run =
            evaluator::run(&flake, hosts, limits, &mut |host| self.spinner.done(host.as_str()))?;
        self.account(hosts, memory, run)
    }

    /// Each host of the batch is answered, failed, or somebody's work again.
    fn account(&self, hosts: &[HostName], memory: u64, run: Run) -> Result<()> {
        let mut state = self.lock();
        let rest = hosts.iter().filter(|host| !run.answers.contains_key(host));
        let mut rest: Vec<HostName> = rest.cloned().collect();
        let progress = rest.len() < hosts.len();
        for (host, answered) in run.answers {
            state.answers.insert(host, (answered.answer, answered.took.as_secs_f64()));
        }
        let Some(failure) = run.failure else { return Ok(()) };
        let for_memory = was_killed(failure.exit);
        if failure.exit == Exit::Interrupted {
            anyhow::bail!(Interrupted);
        }
        if let Some((host, took)) = run.during {
            rest.retain(|other| *other != host);
            // Others may have filled the memory, and others still run.
            if for_memory && (hosts.len() > 1 || memory < self.means.memory) {
                state.heavy.push(host);
            } else {
                self.spinner.done(host.as_str());
                state.is_offline |= diagnose(&failure.stderr, None).code == FETCH;
                state.failures.insert(host, (failure, took.as_secs_f64()));
            }
        } else if !progress && (hosts.len() == 1 || !for_memory) {
            // It never came to a host: the failure is the flake's, and each host's.
            for host in rest.drain(..) {
                self.spinner.done(host.as_str());
                state.failures.insert(host, (failure.clone(), 0.0));
            }
        }
        // What made no progress is made smaller, so that it comes to an end.
        let pieces = if progress || rest.len() < hosts.len() { 1 } else { 2 };
        for piece in rest.chunks(rest.len().div_ceil(pieces).max(1)) {
            state.queue.push_front(piece.to_vec());
        }
        Ok(())
    }
}

fn was_killed(exit: Exit) -> bool {
    matches!(exit, Exit::TooLarge | Exit::Signal(libc::SIGKILL) | Exit::Code(137))
}

fn report(context: &Context, state: State) -> Result<Outcomes> {
    let parse = |answer: Result<Value, String>| -> Result<Option<Answer>, String> {
        serde_json::from_value(answer?)
            .map_err(|error| format!("unexpected evaluator output: {error}"))
    };
    let answers: Vec<_> =
        state.answers.into_iter().map(|(host, (it, seconds))| (host, parse(it), seconds)).collect();
    // Places are only worth a call of Nix where there is something to mend.
    let unwell = |answer: &Result<_, _>| match answer {
        Ok(Some(Answer::Problems(_))) => true,
        Ok(Some(Answer::Selection(selection))) => {
            selection.around.packages.values().any(|seen| !seen.files.is_empty())
        }
        _ => false,
    };
    let mended = state.failures.is_empty() && !answers.iter().any(|(_, answer, _)| unwell(answer));
    let source = if mended { None } else { context.flake.source() };
    let mut outcomes = Outcomes::new();
    for (host, answer, seconds) in answers {
        let evaluated = match answer {
            Ok(answer) => answered(answer, source.as_deref()),
            Err(why) => half_an_answer(&why),
        };
        outcomes.insert(host, (evaluated, seconds));
    }
    if state.failures.is_empty() {
        return Ok(outcomes);
    }
    let logs = log_folder(context)?;
    let lock = context.lock_file().and_then(|file| LockFile::parse(&files::read(&file).ok()?).ok());
    // One message for each input: curl's words differ in milliseconds.
    let mut unfetched = BTreeMap::new();
    for (host, (failure, seconds)) in state.failures {
        let mut evaluated = failed(&host, &failure, source.as_deref(), &logs)?;
        if let Evaluated::Failed { finding, .. } = &mut evaluated
            && finding.code == FETCH
            && let Some(input) = lock.as_ref().and_then(|lock| lock.named_in(&finding.message))
        {
            let message = format!("cannot fetch the input {input}: {}", finding.message);
            finding.message = unfetched.entry(input).or_insert(message).clone();
        }
        outcomes.insert(host, (evaluated, seconds));
    }
    Ok(outcomes)
}

/// Whether hosts without the module are to be excused: the whole fleet was asked for, and
/// some host of it has the module.
pub fn may_lack_module(asked: &[String], outcomes: &Outcomes) -> bool {
    let has_module =
        |(evaluated, _): &(Evaluated, f64)| !matches!(evaluated, Evaluated::Unsupported(_));
    asked.is_empty() && outcomes.values().any(has_module)
}

fn answered(answer: Option<Answer>, source: Option<&str>) -> Evaluated {
    match answer {
        Some(Answer::Selection(mut selection)) => {
            for seen in selection.around.packages.values_mut() {
                seen.files.retain_mut(|file| match file.strip_prefix(source.unwrap_or_default()) {
                    Some(own) => {
                        *file = own.trim_start_matches('/').to_owned();
                        true
                    }
                    None => false,
                });
            }
            Evaluated::Selected(selection)
        }
        Some(Answer::Problems(problems)) => {
            let findings = variant_rules::assertions(&problems, source);
            Evaluated::Problems(findings.into_iter().map(|f| with_line(f, source)).collect())
        }
        None => Evaluated::Unsupported(Finding::error(
            NO_MODULE,
            "this host does not use the llama-cpp module, or does not enable it",
            "import `nixosModules.llama-cpp` and set `programs.llama-cpp.enable`, or name the \
             hosts to check",
        )),
    }
}

fn half_an_answer(what: &str) -> Evaluated {
    let finding = Finding::error("bad-eval-output", what, "run the check again with -v");
    Evaluated::Failed { state: HostState::EvalError, finding }
}

/// The same for another question than a host's selection; `place` names the log.
pub fn explained(context: &Context, place: &HostName, failure: &Unanswered) -> Result<Evaluated> {
    failed(place, failure, context.flake.source().as_deref(), &log_folder(context)?)
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
                "the evaluation timed out",
                "look for unbounded recursion, or raise --timeout",
            ),
        ),
        Exit::TooLarge => (
            HostState::OutOfMemory,
            Finding::error(
                "out-of-memory",
                "this host's evaluation alone exceeds the memory limit of all evaluators",
                "look for unbounded recursion, or raise --max-memory",
            ),
        ),
        Exit::Signal(libc::SIGKILL) | Exit::Code(137) => (
            HostState::OutOfMemory,
            Finding::error(
                "out-of-memory",
                "the evaluator was killed, most likely because memory ran out",
                "lower --max-memory, or add memory or swap",
            ),
        ),
        Exit::Code(0) => {
            let evaluated = half_an_answer("the evaluator exited early");
            return Ok(evaluated);
        }
        Exit::Signal(_) if failure.stderr.contains("memory") => (
            HostState::OutOfMemory,
            Finding::error(
                "out-of-memory",
                "the evaluator ran out of memory",
                "lower --max-memory, or add memory or swap",
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
