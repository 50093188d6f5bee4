//! Evaluates hosts, several per evaluator process because hosts share most of the work. The
//! number of parallel evaluators depends on cores and memory. If an evaluator fails, only the
//! host that it was evaluating fails; another one continues with the rest.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroUsize;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use serde_json::Value;

use crate::check::args::CheckArgs;
use crate::check::batch::{self, EvalLimits};
use crate::check::edited;
use crate::check::eval_failure::{bad_output, explain, with_line};
use crate::check::evaluator::{self, BatchResult, TimedResult};
use crate::check::outcomes::{Evaluated, HostState, Outcomes, Unselected};
use crate::check::report::NO_MODULE;
use crate::check::validation::evaluated_lock;
use crate::check::variant_rules;
use crate::findings::finding::Finding;
use crate::fleet::context::Context;
use crate::fleet::manifest::{HostResult, Selection};
use crate::fleet::names::HostName;
use crate::nix::diagnosis::{FETCH, diagnose};
use crate::nix::flake::{EvalFailure, Source};
use crate::system::interrupt::Interrupted;
use crate::system::process::Exit;
use crate::system::{interrupt, resources};
use crate::ui::progress::Spinner;

/// How to evaluate.
#[derive(Debug, Clone, Copy)]
pub struct EvalOptions {
    pub jobs: Option<NonZeroUsize>,
    /// Memory limit of all evaluators together, in bytes.
    pub max_memory: Option<u64>,
    /// Timeout per host.
    pub timeout: Duration,
}

impl Default for EvalOptions {
    fn default() -> Self {
        Self { jobs: None, max_memory: None, timeout: Duration::from_secs(600) }
    }
}

impl EvalOptions {
    pub fn of(args: &CheckArgs) -> Self {
        Self { jobs: args.jobs, max_memory: args.max_memory, timeout: args.timeout }
    }
}

/// Called with each host's selection as soon as it is known, by several threads.
pub type OnSelection<'a> = Option<&'a (dyn Fn(&HostName, Selection) + Sync)>;

/// Evaluates the hosts that the cache does not have. The result has every host.
///
/// # Errors
/// Nix cannot be started, or the user interrupted.
pub fn evaluate(context: &Context, hosts: &[HostName], options: EvalOptions) -> Result<Outcomes> {
    evaluate_each(context, hosts, options, None)
}

/// Like [`evaluate`], but passes on each selection before the last host is evaluated.
pub fn evaluate_each(
    context: &Context,
    hosts: &[HostName],
    options: EvalOptions,
    on_selection: OnSelection,
) -> Result<Outcomes> {
    let mut state = State::default();
    let mut uncached = vec![];
    for host in hosts {
        match context.cache().and_then(|cache| cache.result(host)) {
            Some(result) => {
                let result = TimedResult { result: Ok(result.clone()), seconds: 0.0 };
                pass_on(host, &result, on_selection);
                state.results.insert(host.clone(), result);
            }
            None => uncached.push(host.clone()),
        }
    }
    if !uncached.is_empty() {
        let mut evaluated = evaluate_uncached(context, &uncached, options, on_selection)?;
        // The results are valid even if they cannot be cached.
        if let Err(error) = write_cache(context, &evaluated) {
            context.ui.debug(format!("cannot write the evaluation cache: {error:#}"));
        }
        state.results.append(&mut evaluated.results);
        state.failures = evaluated.failures;
    }
    Ok(outcomes(context, state))
}

fn evaluate_uncached(
    context: &Context,
    hosts: &[HostName],
    options: EvalOptions,
    on_selection: OnSelection,
) -> Result<State> {
    let limits = EvalLimits::new(
        options.jobs.map(NonZeroUsize::get),
        options.max_memory,
        resources::cores(),
        resources::free_memory(),
    );
    let work = Work {
        context,
        on_selection,
        timeout: options.timeout,
        limits,
        spinner: Spinner::start(&context.ui, "evaluating", hosts.len()),
        edited: edited::since_last_evaluation(context, hosts),
        state: Mutex::default(),
        changed: Condvar::new(),
    };
    let batches = batch::split(&edited::first(hosts, &work.edited), limits.jobs);
    let workers = limits.jobs.min(batches.len());
    work.lock().queue.extend(batches);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(|| work.until_done())).collect();
        workers.into_iter().try_for_each(|worker| {
            worker.join().unwrap_or_else(|_| Err(anyhow!("an evaluation thread panicked")))
        })
    })?;
    let heavy = std::mem::take(&mut work.lock().heavy);
    for host in heavy {
        work.batch(&[host], limits.memory)?;
    }
    work.spinner.finish();
    Ok(work.state.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Caches results, but no failures: this machine may have caused those.
fn write_cache(context: &Context, evaluated: &State) -> Result<()> {
    let Some(cache) = context.cache() else { return Ok(()) };
    let hosts = context.all_hosts()?.iter().map(ToString::to_string).collect();
    let results = evaluated
        .results
        .iter()
        .filter_map(|(host, it)| Some((host.to_string(), it.result.as_ref().ok()?.clone())));
    cache.store(&context.flake, hosts, results.collect())
}

/// Nix's options once a download has failed.
const FAIL_FAST: [&str; 6] =
    ["--option", "download-attempts", "1", "--option", "connect-timeout", "5"];

/// What all evaluation threads share.
struct Work<'a> {
    context: &'a Context,
    on_selection: OnSelection<'a>,
    timeout: Duration,
    limits: EvalLimits,
    spinner: Spinner,
    edited: Vec<HostName>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Vec<HostName>>,
    /// Number of threads with a batch.
    busy: usize,
    /// A thread has ended with an error.
    aborted: bool,
    /// Hosts that need more than one evaluator's share of memory: evaluated one after another
    /// in the end, with all memory.
    heavy: Vec<HostName>,
    /// An input could not be fetched, so other hosts retry less.
    is_offline: bool,
    results: BTreeMap<HostName, TimedResult>,
    /// Failed hosts, with the seconds that each took.
    failures: BTreeMap<HostName, (EvalFailure, f64)>,
}

impl Work<'_> {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows progress, with the result of an edited host.
    fn done(&self, host: &HostName, summary: &dyn Fn() -> String) {
        self.spinner.done(host.as_str());
        if self.edited.contains(host) {
            self.context.ui.status(format!("{host} {}", summary()));
        }
    }

    /// Takes batches until the queue is empty and no other thread can refill it.
    fn until_done(&self) -> Result<()> {
        loop {
            let mut state = self.lock();
            let batch = loop {
                match state.queue.pop_front() {
                    _ if state.aborted => return Ok(()),
                    Some(batch) => break batch,
                    None if state.busy == 0 => return Ok(()),
                    None => {
                        state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                    }
                }
            };
            state.busy += 1;
            drop(state);
            let ended = self.batch(&batch, self.limits.share());
            let mut state = self.lock();
            state.busy -= 1;
            state.aborted |= ended.is_err();
            drop(state);
            self.changed.notify_all();
            ended?;
        }
    }

    fn batch(&self, hosts: &[HostName], memory: u64) -> Result<()> {
        interrupt::check()?;
        let mut flake = self.context.flake.clone();
        if self.lock().is_offline {
            flake.options.extend(FAIL_FAST.map(str::to_owned));
        }
        let batch = evaluator::run(&flake, hosts, self.timeout, memory, &mut |host, timed| {
            self.done(host, &|| summary(timed));
            pass_on(host, timed, self.on_selection);
        })?;
        self.account(hosts, memory, batch)
    }

    /// Records each host of the batch as evaluated or failed, or puts it back into the queue.
    fn account(&self, hosts: &[HostName], memory: u64, batch: BatchResult) -> Result<()> {
        let mut state = self.lock();
        let rest = hosts.iter().filter(|host| !batch.results.contains_key(host));
        let mut rest: Vec<HostName> = rest.cloned().collect();
        let progress = rest.len() < hosts.len();
        state.results.extend(batch.results);
        let Some(failure) = batch.failure else { return Ok(()) };
        let was_killed =
            matches!(failure.exit, Exit::TooLarge | Exit::Signal(libc::SIGKILL) | Exit::Code(137));
        if failure.exit == Exit::Interrupted {
            bail!(Interrupted);
        }
        if let Some((host, took)) = batch.during {
            rest.retain(|other| *other != host);
            // Other evaluators may have filled the memory.
            if was_killed && (hosts.len() > 1 || memory < self.limits.memory) {
                state.heavy.push(host);
            } else {
                let finding = diagnose(&failure.stderr, None);
                self.done(&host, &|| format!("does not evaluate: {}", finding.message));
                state.is_offline |= finding.code == FETCH;
                state.failures.insert(host, (failure, took.as_secs_f64()));
            }
        } else if !progress && (hosts.len() == 1 || !was_killed) {
            // It failed before the first host, so the flake itself is broken: every host fails.
            for host in rest.drain(..) {
                self.spinner.done(host.as_str());
                state.failures.insert(host, (failure.clone(), 0.0));
            }
        }
        // A batch without progress is split, so that the retries end.
        let pieces = if progress || rest.len() < hosts.len() { 1 } else { 2 };
        for piece in rest.chunks(rest.len().div_ceil(pieces).max(1)) {
            state.queue.push_front(piece.to_vec());
        }
        Ok(())
    }
}

fn pass_on(host: &HostName, timed: &TimedResult, on_selection: OnSelection) {
    let Some(on_selection) = on_selection else { return };
    if let Ok(Some(HostResult::Selection(selection))) = timed.result.clone().and_then(parse) {
        on_selection(host, *selection);
    }
}

/// Summarizes an edited host's result, such as `evaluates: cpu-znver4`.
fn summary(timed: &TimedResult) -> String {
    match timed.result.clone().and_then(parse) {
        Ok(Some(HostResult::Selection(selection))) => {
            format!("evaluates: {}", selection.manifest.variant)
        }
        Ok(Some(HostResult::Problems(problems))) => {
            let first = problems.sentences.first().map_or("", |sentence| sentence);
            format!("has an error: {}", first.split("; ").next().unwrap_or(first))
        }
        Ok(None) => "does not use the module".to_owned(),
        Err(_) => "does not evaluate".to_owned(),
    }
}

fn parse(result: Value) -> Result<Option<HostResult>, String> {
    serde_json::from_value(result).map_err(|error| format!("unexpected evaluator output: {error}"))
}

fn outcomes(context: &Context, state: State) -> Outcomes {
    let parsed = |timed: TimedResult| (timed.result.and_then(parse), timed.seconds);
    let results: Vec<_> = state.results.into_iter().map(|(host, it)| (host, parsed(it))).collect();
    // Finding the flake's source runs Nix, so only if a finding names a file of the flake.
    let names_files = |result: &Result<_, _>| match result {
        Ok(Some(HostResult::Problems(_))) => true,
        Ok(Some(HostResult::Selection(selection))) => {
            selection.context.packages.values().any(|seen| !seen.files.is_empty())
        }
        _ => false,
    };
    let needs_source =
        !state.failures.is_empty() || results.iter().any(|(_, (result, _))| names_files(result));
    let source = if needs_source { context.flake.source() } else { None };
    let mut outcomes = Outcomes::default();
    for (host, (result, seconds)) in results {
        let evaluated = match result {
            Ok(result) => evaluated(result, source.as_ref()),
            Err(why) => unselected(bad_output(&why)),
        };
        outcomes.insert(host, evaluated, seconds);
    }
    if state.failures.is_empty() {
        return outcomes;
    }
    let lock = evaluated_lock(context);
    // One message per input: curl's differ in milliseconds.
    let mut unfetched = BTreeMap::new();
    for (host, (failed, seconds)) in state.failures {
        let (state, mut finding) = explain(context, host.as_str(), &failed, source.as_ref());
        if finding.code == FETCH
            && let Some(input) = lock.as_ref().and_then(|lock| lock.named_in(&finding.message))
        {
            let message = format!("cannot fetch the input {input}: {}", finding.message);
            finding.message = unfetched.entry(input).or_insert(message).clone();
        }
        outcomes.insert(host, unselected((state, finding)), seconds);
    }
    outcomes
}

fn evaluated(result: Option<HostResult>, source: Option<&Source>) -> Evaluated {
    let path = source.map(|source| source.path.as_str());
    match result {
        Some(HostResult::Selection(mut selection)) => {
            for seen in selection.context.packages.values_mut() {
                seen.files.retain_mut(|file| {
                    match (file.strip_prefix(path.unwrap_or_default()), source) {
                        (Some(own), Some(source)) => {
                            *file = source.relative_file(own.trim_start_matches('/').to_owned());
                            true
                        }
                        _ => false,
                    }
                });
            }
            Ok(selection)
        }
        Some(HostResult::Problems(problems)) => {
            let findings = variant_rules::assertions(&problems, path);
            let findings = findings.into_iter().map(|finding| with_line(finding, source)).collect();
            Err(Unselected { state: HostState::Finding, findings })
        }
        None => {
            let finding = Finding::error(
                NO_MODULE,
                "this host does not use the llama-cpp module, or does not enable it",
                "import `nixosModules.llama-cpp` and set `programs.llama-cpp.enable`, or name the \
                 hosts to check",
            );
            unselected((HostState::Unsupported, finding))
        }
    }
}

fn unselected((state, finding): (HostState, Finding)) -> Evaluated {
    Err(Unselected { state, findings: vec![finding] })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_summary_of_an_edited_host_names_its_error() {
        let summary = |result: Value| summary(&TimedResult { result: Ok(result), seconds: 0.0 });
        let problems = ["programs.llama-cpp.microarch: \"tiger\" is unknown; write \"tigerlake\"."];
        assert_eq!(
            summary(json!({ "problems": problems, "files": {} })),
            "has an error: programs.llama-cpp.microarch: \"tiger\" is unknown"
        );
        assert_eq!(summary(Value::Null), "does not use the module");
        assert_eq!(summary(json!(7)), "does not evaluate");
    }
}
