//! `bisect`: finds the first upstream revision that breaks the fleet, and the newest one that does
//! not. Verdicts are saved after each step, so that the same command resumes an interrupted search.

pub mod bench;
pub mod failure;
pub mod judge;
pub mod output;
pub mod range;
pub mod report;
pub mod search;
pub mod view;

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::findings::finding::{Finding, Severity, or_finding};
use crate::findings::outcome::Outcome;
use crate::findings::view::print as print_finding;
use crate::fleet::context::Context;
use crate::fleet::names::HostName;
use crate::fleet::state_file;
use crate::nix::snapshot;
use crate::pin::args::{BisectArgs, UpdateArgs};
use crate::pin::bisect::bench::Bench;
use crate::pin::bisect::failure::Failure;
use crate::pin::bisect::judge::Judge;
use crate::pin::bisect::range::Range;
use crate::pin::bisect::report::{BisectReport, By, Journal, Question, Step};
use crate::pin::bisect::search::{Answer, Next, Search, Verdict};
use crate::pin::update::report::LockState;
use crate::pin::update::{self, commit};
use crate::system::interrupt::{self, Interrupted};
use crate::system::{disk, files};
use crate::target::selection::LOCAL;
use crate::ui::units;
use crate::upstream::trial_fleet::{LLAMA_CPP, PinState};

pub fn run(args: &BisectArgs, context: &Context) -> Result<Outcome> {
    let report = match or_finding(bisect(args, context))? {
        Ok(report) => report,
        Err(finding) => {
            context.ui.document(&serde_json::json!({
                "schema": 1, "command": "bisect", "good": args.good, "bad": args.bad,
                "by": args.by.to_string(), "judged": [], "firstBad": null, "newestGood": null,
                "findings": [finding], "ok": false,
            }))?;
            print_finding(&context.ui, args.input.as_deref().unwrap_or(LLAMA_CPP), &finding);
            return Ok(Outcome::new(false, [&finding]));
        }
    };
    context.ui.document(&report)?;
    view::print(&context.ui, &report);
    Ok(Outcome::new(report.ok, &report.findings))
}

fn bisect(args: &BisectArgs, context: &Context) -> Result<BisectReport> {
    // Discover.
    let pin = PinState::read(context, args.input.as_deref())?;
    let hosts = hosts(args, context)?;
    let range = range::find(args, &pin)?;
    // Plan.
    let bench = match args.by {
        By::Bench(percent) => Some(Bench::open(args, &pin, &hosts[0], &range.good, percent)?),
        By::Eval | By::Build => None,
    };
    let mut session = Session::open(args, &pin, &range, hosts, bench)?;
    session.announce();
    // Run.
    let answer = session.search()?;
    // Report.
    let mut report = session.report(answer)?;
    if args.apply {
        apply(&pin, &mut report)?;
    }
    Ok(report)
}

/// Updates the input to the newest good revision, if there is one.
fn apply(pin: &PinState<'_>, report: &mut BisectReport) -> Result<()> {
    let Some(good) = &report.newest_good else { return Ok(()) };
    if good.rev == pin.now.rev {
        report.applied = Some(true);
        return Ok(());
    }
    let update = UpdateArgs {
        to: Some(good.rev.clone()),
        stable: false,
        input: Some(pin.input.name.clone()),
        bench: vec![],
        commit: false,
        dry_run: false,
        allow_partial: false,
    };
    let rejected = match or_finding(update::transact(&update, pin.context))? {
        Err(finding) => vec![finding],
        Ok(update) if update.lock == LockState::Updated => vec![],
        Ok(update) => {
            let hosts = update.hosts.into_iter().flat_map(|host| host.findings);
            let all: Vec<Finding> = update.findings.into_iter().chain(hosts).collect();
            // Without an error, a note has the reason: with the testbed it is a dry run.
            let errors = all.iter().filter(|finding| finding.severity == Severity::Error);
            let errors: Vec<Finding> = errors.cloned().collect();
            if errors.is_empty() { all } else { errors }
        }
    };
    report.applied = Some(rejected.is_empty());
    report.ok &= rejected.is_empty();
    report.findings.extend(rejected);
    Ok(())
}

/// The hosts to judge: those of the flake, or `local` to measure this machine.
fn hosts(args: &BisectArgs, context: &Context) -> Result<Vec<HostName>> {
    match (&args.host, args.by) {
        (_, By::Eval | By::Build) if args.local || args.target.is_some() => {
            bail!("--local and --target say where to measure: pass `--by bench` with them")
        }
        (None, By::Bench(_)) => {
            bail!("--by bench measures one host: pass --host (`local` is this machine)")
        }
        (Some(host), By::Bench(_)) if host == LOCAL => Ok(vec![HostName::new(host.clone())]),
        (host, _) => context.hosts(host.as_slice()),
    }
}

/// A search and its journal.
struct Session<'a> {
    args: &'a BisectArgs,
    context: &'a Context,
    range: &'a Range,
    search: Search,
    judge: Judge<'a>,
    /// Used instead of `judge` with `--by bench`.
    bench: Option<Bench<'a>>,
    journal: Journal,
    file: PathBuf,
    /// The steps so far, in order, with the index of each revision.
    steps: Vec<(usize, Step)>,
}

impl<'a> Session<'a> {
    fn open(
        args: &'a BisectArgs,
        pin: &'a PinState<'a>,
        range: &'a Range,
        hosts: Vec<HostName>,
        bench: Option<Bench<'a>>,
    ) -> Result<Self> {
        let context = pin.context;
        let question = Question {
            flake: context.flake.reference.clone(),
            fleet: fleet(pin)?,
            input: pin.input.name.clone(),
            good: range.good.rev.clone(),
            bad: range.bad.rev.clone(),
            hosts: hosts.clone(),
            by: args.by.to_string(),
            target: bench.as_ref().map(|bench| bench.target().to_owned()),
        };
        let folder = context.home.join("bisect");
        disk::create(&folder)?;
        let file = folder.join(format!("{:016x}.json", hash(&question)));
        let journal = match args.fresh {
            true => None,
            false => read(&file).filter(|journal| journal.question == question),
        };
        let mut search = Search::new(range.revs.len());
        if bench.is_some() {
            // The good end is the reference of the measurements, so it is good.
            search.record(0, Verdict::Good);
        }
        Ok(Self {
            args,
            context,
            range,
            search,
            bench,
            judge: Judge {
                pin,
                builds: args.by == By::Build,
                hosts,
                wanted: vec![],
                known: vec![],
                built: vec![],
            },
            journal: journal.unwrap_or(Journal { question, steps: vec![] }),
            file,
            steps: vec![],
        })
    }

    fn announce(&self) {
        let (good, bad) = (self.range.good.name(), self.range.bad.name());
        let count = self.range.revs.len() - 1;
        let kind = if self.args.tags { "build" } else { "revision" };
        self.context.ui.status(format!(
            "searching {} after {good} up to {bad} by {}: about {} to judge",
            units::count(count, kind),
            self.args.by,
            self.search.steps_left()
        ));
        if !self.journal.steps.is_empty() {
            let known = self.journal.steps.len();
            self.context.ui.status(format!("{known} of them already judged (--fresh starts over)"));
        }
    }

    fn search(&mut self) -> Result<Answer> {
        loop {
            let at = match self.search.next() {
                Next::Done(answer) => return Ok(answer),
                Next::Judge(at) => at,
            };
            let step = self.step(at)?;
            self.record(at, step)?;
            let last = self.range.revs.len() - 1;
            // Some of several failures may be older than the good end. Judge it now, to exclude its
            // failures from the search.
            if at == last && self.bench.is_none() && failure::kinds(&self.judge.wanted) > 1 {
                let step = self.step(0)?;
                self.record(0, step)?;
            }
        }
    }

    /// Judges a revision, or returns the step of an earlier run.
    fn step(&mut self, at: usize) -> Result<Step> {
        let rev = &self.range.revs[at];
        if let Some(step) = self.journal.steps.iter().find(|step| step.revision.rev == *rev) {
            return Ok(Step { earlier: true, ..step.clone() });
        }
        interrupt::check()?;
        let revision = self.range.history.revision(rev)?;
        let steps: Vec<Step> = self.steps.iter().map(|(_, step)| step.clone()).collect();
        view::begin(&self.context.ui, &revision, &steps, self.search.steps_left());
        let began = Instant::now();
        let judgement = match &mut self.bench {
            Some(bench) => bench.judge(&revision),
            None => self.judge.judge(&revision),
        };
        // An interrupted step says nothing about the revision.
        let judgement = if interrupt::requested() { Err(Interrupted.into()) } else { judgement };
        let judgement = judgement.inspect_err(|_| {
            let judged = self.journal.steps.len();
            let help = "judged so far; run the same command again to resume";
            self.context.ui.warn(format!("{judged} {help}"));
        })?;
        let seconds = began.elapsed().as_secs_f64();
        let step = Step { revision, judgement, seconds, earlier: false };
        self.journal.steps.push(step.clone());
        let text = serde_json::to_string(&self.journal).context("cannot serialize the journal")?;
        files::write_atomically(&self.file, text.as_bytes())?;
        Ok(step)
    }

    fn record(&mut self, at: usize, mut step: Step) -> Result<()> {
        if at == self.range.revs.len() - 1 {
            match &mut self.bench {
                Some(bench) => bench.wanted = step.judgement.measured.clone(),
                None => self.judge.search_for(&step.judgement.failures),
            }
        }
        if at == 0 && self.bench.is_none() {
            let failures = &step.judgement.failures;
            let is_known = |it: &Failure| failures.iter().any(|known| known.is_like(it));
            // If the good end has every failure of the bad end, it is not good.
            if !self.judge.wanted.iter().all(is_known) {
                self.judge.ignore_known(failures);
                step.judgement.verdict = self.judge.weigh(failures.clone()).verdict;
            }
        }
        self.search.record(at, step.judgement.verdict);
        view::end(&self.context.ui, &step);
        self.steps.push((at, step));
        Ok(())
    }
}

fn read(file: &Path) -> Option<Journal> {
    serde_json::from_str(&files::read(file).ok()?).ok()
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Returns a hash of the fleet's files and lock file without the pin. Verdicts depend on them, so
/// a later run resumes a search only with the same hash. If the files cannot be read, the hash is
/// unique and no run resumes the search.
fn fleet(pin: &PinState<'_>) -> Result<String> {
    let PinState { context, root, .. } = pin;
    let mut files = match snapshot::take(&context.flake, &context.home, root) {
        Ok(snapshot) => snapshot.files,
        Err(error) => {
            context.ui.debug(format!("this search cannot be resumed later: {error:#}"));
            return Ok(format!("unknown, at {:?}", SystemTime::now()));
        }
    };
    let is_pin = |name: &str| {
        let mut pins = state_file::PATHS.iter().chain([&commit::LOCK]);
        pins.any(|pin| name.ends_with(pin))
    };
    files.retain(|name, _| !is_pin(name));
    let text = serde_json::to_string(&files).context("cannot serialize a snapshot")?;
    let mut unpinned = pin.input.clone();
    unpinned.node = Value::Null;
    let lock = pin.lock.replaced(&pin.input, &unpinned).print();
    Ok(format!("{:016x}", hash(&(text, lock))))
}
