//! The result of a search: the first bad commit with its cause, or why there is none.

use anyhow::Result;

use crate::findings::finding::Finding;
use crate::fleet::names::HostName;
use crate::nix::flake_input::Revision;
use crate::pin::bisect::range::Range;
use crate::pin::bisect::report::{BisectReport, By, FirstBad, is_packaging};
use crate::pin::bisect::search::{Answer, Verdict};
use crate::pin::bisect::{Session, failure};

/// Maximum number of changed lines shown of a commit.
const MOST_LINES: usize = 12;

impl Session<'_> {
    pub(crate) fn report(&self, answer: Answer) -> Result<BisectReport> {
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
        let revision = |at: usize| range.history.revision(&range.revs[at]);
        let by = self.args.by;
        report.findings.extend(match answer {
            Answer::First { good, bad } => {
                report.first_bad = Some(self.first_bad(good, bad)?);
                report.newest_good = Some(revision(good)?);
                report.ok = true;
                None
            }
            Answer::OneOf { good, bad } => {
                report.newest_good = Some(revision(good)?);
                report.candidates = (good + 1..=bad).map(revision).collect::<Result<_>>()?;
                let judged = self.steps.iter().filter(|(at, _)| good < *at && *at < bad).count();
                Some(Finding::error(
                    "not-unique",
                    format!(
                        "the first bad revision is one of {}: all {judged} judged between them \
                         were inconclusive",
                        bad - good
                    ),
                    "review those commits; the failure is shown beside each",
                ))
            }
            Answer::NothingBad => Some(Finding::error(
                "bad-is-good",
                format!("--bad {} is good when judged by {by}", range.bad.name()),
                match by {
                    By::Eval => "its hosts evaluate; try --by build or --by bench",
                    By::Build => "its hosts build; try --by bench or a newer --bad",
                    By::Bench(_) => "pass a newer --bad or a smaller percentage",
                },
            )),
            Answer::BadInconclusive => {
                Some(self.inconclusive_end("bad", &range.bad, range.revs.len() - 1))
            }
            Answer::NothingGood(Verdict::Inconclusive) => {
                Some(self.inconclusive_end("good", &range.good, 0))
            }
            Answer::NothingGood(_) => Some(Finding::error(
                "good-is-bad",
                format!("--good {} is bad too: {}", range.good.name(), self.why(0)),
                "pass an older --good, or --host HOST if some hosts cannot be built here",
            )),
        });
        Ok(report)
    }

    fn first_bad(&self, good: usize, bad: usize) -> Result<FirstBad> {
        let Range { history, revs, .. } = self.range;
        let commit = history.commit(&revs[bad])?;
        let packaging: Vec<String> =
            commit.files.iter().filter(|file| is_packaging(file)).cloned().collect();
        let mut lines = match packaging.is_empty() {
            true => vec![],
            // Without a network, a partial clone has only the names of files.
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
        let failures = step.into_iter().flat_map(|step| &step.judgement.failures).filter(alike);
        let mut cause = failure::causes(&failures.cloned().collect::<Vec<_>>());
        if cause.is_empty() {
            cause.extend(step.and_then(|step| step.judgement.why.clone()));
        }
        Ok(FirstBad {
            revision: history.revision(&revs[bad])?,
            author: commit.author,
            subject: commit.subject,
            files: commit.files.len(),
            packaging,
            lines,
            commits: history.count(&revs[good], &revs[bad])?,
            cause,
        })
    }

    fn why(&self, at: usize) -> String {
        let step = self.steps.iter().find(|(index, _)| *index == at);
        step.and_then(|(_, step)| step.judgement.why.clone())
            .unwrap_or_else(|| "it is good".to_owned())
    }

    fn inconclusive_end(&self, end: &str, revision: &Revision, at: usize) -> Finding {
        Finding::error(
            "inconclusive-end",
            format!("--{end} {} is inconclusive: {}", revision.name(), self.why(at)),
            format!("pass another --{end}, or --host HOST"),
        )
    }
}
