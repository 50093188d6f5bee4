//! `bisect`: the first upstream revision that breaks the fleet, and the newest that does
//! not. What was judged is written down after each step, so that the same command goes on
//! where an earlier one ended, however it ended.

mod judge;
mod range;

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::cli;
use crate::cmd::Outcome;
use crate::cmd::candidate::{Depth, Ground};
use crate::cmd::context::Context;
use crate::domain::bisect::{Answer, Next, Search, Verdict};
use crate::domain::bisect_report::{
    BisectReport, By, FirstBad, Journal, Question, Step, is_packaging,
};
use crate::domain::failure;
use crate::domain::finding::Finding;
use crate::domain::names::HostName;
use crate::domain::upstream::Revision;
use crate::sys::{disk, files, interrupt, snapshot};
use crate::ui;
use judge::{Judge, Seen};
use range::Range;

/// Lines of a commit's changes that are shown.
const MOST_LINES: usize = 12;

pub fn run(args: &cli::Bisect, context: &Context) -> Result<Outcome> {
    // Discover.
    let ground = match Ground::survey(context, &args.input)? {
        Ok(ground) => ground,
        Err(finding) => return refused(context, args, &finding),
    };
    let hosts = context.hosts(args.host.as_slice())?;
    let range = range::find(args, &ground)?;
    // Plan.
    let mut session = Session::open(args, context, &ground, &range, hosts)?;
    session.announce();
    // Run.
    let answer = session.search()?;
    // Report.
    let report = session.report(answer)?;
    context.ui.document(&report)?;
    ui::bisect::print(&context.ui, &report);
    Ok(Outcome::from_ok(report.ok))
}

/// What a program reads when there is nothing to search.
fn refused(context: &Context, args: &cli::Bisect, finding: &Finding) -> Result<Outcome> {
    context.ui.document(&serde_json::json!({
        "schema": 1, "command": "bisect", "good": args.good, "bad": args.bad,
        "by": args.by.to_string(), "judged": [], "firstBad": null, "newestGood": null,
        "findings": [finding], "ok": false,
    }))?;
    context.ui.complain(ui::check::describe(&context.ui, &args.input, finding));
    Ok(Outcome::Findings)
}

/// One search, with its journal.
struct Session<'a> {
    args: &'a cli::Bisect,
    context: &'a Context,
    range: &'a Range,
    search: Search,
    judge: Judge<'a>,
    journal: Journal,
    file: PathBuf,
    /// In the order in which they were judged or found judged.
    steps: Vec<(usize, Step)>,
}

impl<'a> Session<'a> {
    fn open(
        args: &'a cli::Bisect,
        context: &'a Context,
        ground: &'a Ground<'a>,
        range: &'a Range,
        hosts: Vec<HostName>,
    ) -> Result<Self> {
        let depth = match args.by {
            By::Eval => Depth::Evaluate,
            By::Build | By::Bench(_) => Depth::Build,
        };
        let question = Question {
            flake: context.flake.reference.clone(),
            fleet: fleet(context)?,
            input: args.input.clone(),
            good: range.good.rev.clone(),
            bad: range.bad.rev.clone(),
            hosts: hosts.clone(),
            by: args.by.to_string(),
        };
        let folder = context.home.join("bisect");
        disk::create(&folder)?;
        let file = folder.join(format!("{:016x}.json", hash(&question)));
        let journal = match args.anew {
            true => None,
            false => read(&file).filter(|journal| journal.question == question),
        };
        Ok(Self {
            args,
            context,
            range,
            search: Search::new(range.revs.len()),
            judge: Judge { ground, depth, hosts, wanted: vec![], known: vec![] },
            journal: journal.unwrap_or(Journal { question, steps: vec![] }),
            file,
            steps: vec![],
        })
    }

    fn announce(&self) {
        let (good, bad) = (self.range.good.name(), self.range.bad.name());
        let kind = if self.args.tags { "builds" } else { "revisions" };
        let count = self.range.revs.len() - 1;
        self.context.ui.say(format!(
            "searching {count} {kind} after {good} up to {bad} by {}: about {} to judge",
            self.args.by,
            self.search.steps_left()
        ));
        if !self.journal.steps.is_empty() {
            let known = self.journal.steps.len();
            self.context
                .ui
                .say(format!("{known} of them were judged before (--anew forgets that)"));
        }
    }

    fn search(&mut self) -> Result<Answer> {
        loop {
            let at = match self.search.next() {
                Next::Done(answer) => return Ok(answer),
                Next::Judge(at) => at,
            };
            let step = self.step(at)?;
            self.take(at, step)?;
            let last = self.range.revs.len() - 1;
            // Several failures at once are seldom all of them new: what the good end has as
            // well must not lead the search astray.
            if at == last && failure::kinds(&self.judge.wanted) > 1 {
                let step = self.step(0)?;
                self.take(0, step)?;
            }
        }
    }

    /// Judges a revision, unless an earlier run did.
    fn step(&mut self, at: usize) -> Result<Step> {
        let rev = &self.range.revs[at];
        if let Some(step) = self.journal.steps.iter().find(|step| step.revision.rev == *rev) {
            return Ok(Step { earlier: true, ..step.clone() });
        }
        if interrupt::requested() {
            bail!("interrupted");
        }
        let revision = self.range.history.revision(rev)?;
        let steps: Vec<Step> = self.steps.iter().map(|(_, step)| step.clone()).collect();
        ui::bisect::begin(&self.context.ui, &revision, &steps, self.search.steps_left());
        let began = Instant::now();
        let Seen { verdict, why, failures } = self.judge.judge(&revision).inspect_err(|_| {
            let judged = self.journal.steps.len();
            self.context
                .ui
                .complain(format!("{judged} judged so far; the same command goes on from there"));
        })?;
        let seconds = began.elapsed().as_secs_f64();
        let step = Step { revision, verdict, seconds, why, failures, earlier: false };
        self.journal.steps.push(step.clone());
        let text = serde_json::to_string(&self.journal).context("cannot print the journal")?;
        files::write_atomically(&self.file, text.as_bytes())?;
        Ok(step)
    }

    fn take(&mut self, at: usize, mut step: Step) -> Result<()> {
        if at == self.range.revs.len() - 1 {
            self.judge.want(&step.failures);
        }
        if at == 0 {
            let wanted = std::mem::take(&mut self.judge.wanted);
            let same = wanted.iter().all(|it| step.failures.iter().any(|known| known.is_like(it)));
            self.judge.wanted = wanted;
            // All of it is at the good end already: then that one is not good.
            if !same {
                self.judge.forgive(&step.failures);
                step.verdict = self.judge.weigh(step.failures.clone()).verdict;
            }
        }
        self.search.tell(at, step.verdict);
        ui::bisect::end(&self.context.ui, &step);
        self.steps.push((at, step));
        Ok(())
    }

    fn report(&self, answer: Answer) -> Result<BisectReport> {
        let range = self.range;
        let mut report = BisectReport {
            schema: 1,
            command: "bisect",
            good: range.good.clone(),
            bad: range.bad.clone(),
            by: self.args.by.to_string(),
            host: self.args.host.as_ref().map(|host| HostName::new(host.clone())),
            revisions: range.revs.len() - 1,
            judged: self.steps.iter().map(|(_, step)| step.clone()).collect(),
            first_bad: None,
            newest_good: None,
            candidates: vec![],
            findings: vec![],
            applied: None,
            ok: false,
        };
        match answer {
            Answer::First { good, bad } => {
                report.first_bad = Some(self.first_bad(good, bad)?);
                report.newest_good = Some(range.history.revision(&range.revs[good])?);
                report.ok = true;
            }
            Answer::OneOf { good, bad } => {
                report.newest_good = Some(range.history.revision(&range.revs[good])?);
                report.candidates = range.revs[good + 1..=bad]
                    .iter()
                    .map(|rev| range.history.revision(rev))
                    .collect::<Result<_>>()?;
                report.findings.push(self.not_unique(good, bad));
            }
            Answer::NothingBad => report.findings.push(self.not_bad()),
            Answer::BadUntold => report.findings.push(self.end_untold("bad", &range.bad)),
            Answer::NothingGood(Verdict::Untold) => {
                report.findings.push(self.end_untold("good", &range.good));
            }
            Answer::NothingGood(_) => report.findings.push(self.not_good()),
        }
        Ok(report)
    }

    fn first_bad(&self, good: usize, bad: usize) -> Result<FirstBad> {
        let Range { history, revs, .. } = self.range;
        let about = history.about(&revs[bad])?;
        let packaging: Vec<String> =
            about.files.iter().filter(|file| is_packaging(file)).cloned().collect();
        let mut lines = match packaging.is_empty() {
            true => vec![],
            // Of a partial clone, without a network, the commit's name must do.
            false => history.changed_lines(&revs[bad], &packaging).unwrap_or_default(),
        };
        if lines.len() > MOST_LINES {
            let more = lines.len() - MOST_LINES;
            lines.truncate(MOST_LINES);
            lines.push(format!("… {more} more lines"));
        }
        let step = self.steps.iter().find(|(at, _)| *at == bad).map(|(_, step)| step);
        let alike =
            |it: &&failure::Failure| self.judge.wanted.iter().any(|wanted| wanted.is_like(it));
        let failures = step.into_iter().flat_map(|step| &step.failures).filter(alike);
        let mut cause = failure::causes(&failures.cloned().collect::<Vec<_>>());
        if cause.is_empty() {
            cause.extend(step.and_then(|step| step.why.clone()));
        }
        Ok(FirstBad {
            revision: about.revision,
            author: about.author,
            subject: about.subject,
            files: about.files.len(),
            packaging,
            lines,
            commits: history.count(&revs[good], &revs[bad])?,
            cause,
        })
    }

    fn why(&self, at: usize) -> String {
        let step = self.steps.iter().find(|(its, _)| *its == at);
        step.and_then(|(_, step)| step.why.clone()).unwrap_or_else(|| "it is well".to_owned())
    }

    fn not_unique(&self, good: usize, bad: usize) -> Finding {
        let untold = self.steps.iter().filter(|(at, _)| good < *at && *at < bad).count();
        Finding::error(
            "not-unique",
            format!(
                "the first bad revision is one of {}: of those between, none of the {untold} that \
                 were judged can be told",
                bad - good
            ),
            "read those commits; what breaks them is told beside each",
        )
    }

    fn not_bad(&self) -> Finding {
        Finding::error(
            "bad-is-good",
            format!("--bad {} is not bad by {}", self.range.bad.name(), self.args.by),
            match self.args.by {
                By::Eval => "its hosts evaluate: search with --by build, or --by bench",
                By::Build => "its hosts are built: search with --by bench, or a newer --bad",
                By::Bench(_) => "name a newer --bad, or a smaller percentage",
            },
        )
    }

    fn not_good(&self) -> Finding {
        Finding::error(
            "good-is-bad",
            format!("--good {} is bad as well: {}", self.range.good.name(), self.why(0)),
            "name an older --good; or a host with --host, where not all can be built here",
        )
    }

    fn end_untold(&self, end: &str, revision: &Revision) -> Finding {
        let at = if end == "good" { 0 } else { self.range.revs.len() - 1 };
        Finding::error(
            "end-untold",
            format!("of --{end} {} nothing can be told: {}", revision.name(), self.why(at)),
            format!("name another --{end}, or the host that it is about with --host"),
        )
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

/// All files of the fleet but those that a pin is in: verdicts are about these as well.
/// Where that cannot be told, no later run takes these for its own.
fn fleet(context: &Context) -> Result<String> {
    let root = context.root().context("the fleet is no folder")?;
    let mut files = match snapshot::take(&context.flake, &context.home, root) {
        Ok(snapshot) => snapshot.files,
        Err(error) => {
            context.ui.detail(format!("this search cannot be gone on with later: {error:#}"));
            return Ok(format!("of process {}", std::process::id()));
        }
    };
    files.retain(|name, _| !name.ends_with("flake.lock") && !name.ends_with("pin.json"));
    let text = serde_json::to_string(&files).context("cannot print a snapshot")?;
    Ok(format!("{:016x}", hash(&text)))
}
