//! Judges a revision by whether the fleet evaluates, or is built, with it.

use std::path::Path;

use anyhow::{Result, bail};

use crate::cmd::candidate::{self, Depth, Ground, Judgement};
use crate::domain::bisect::Verdict;
use crate::domain::build_report::VariantReport;
use crate::domain::check::CheckReport;
use crate::domain::failure::{self, Failure};
use crate::domain::finding::{Finding, Severity};
use crate::domain::names::HostName;
use crate::domain::upstream::Revision;
use crate::sys::files;

/// What was seen of one revision.
pub struct Seen {
    pub verdict: Verdict,
    pub why: Option<String>,
    pub failures: Vec<Failure>,
}

/// What is looked for, and on which hosts.
pub struct Judge<'a> {
    pub ground: &'a Ground<'a>,
    pub depth: Depth,
    /// Those that fail at the bad end, once that is known.
    pub hosts: Vec<HostName>,
    /// How the bad end fails. Empty until it was judged.
    pub wanted: Vec<Failure>,
    /// How the good end fails as well: not what came in between.
    pub known: Vec<Failure>,
}

impl Judge<'_> {
    pub fn judge(&self, revision: &Revision) -> Result<Seen> {
        let failures = match self.ground.candidate(revision, None)? {
            Ok(candidate) => failures(candidate::judge(&candidate, &self.hosts, self.depth)?),
            // The network is nobody's first bad commit.
            Err(finding) if finding.message.contains("unable to download") => {
                bail!(
                    "{} ({}); the search goes on there when it is run again",
                    finding.message,
                    finding.help
                )
            }
            Err(finding) => vec![Failure::of_finding(None, &finding)],
        };
        Ok(self.weigh(failures))
    }

    pub fn weigh(&self, failures: Vec<Failure>) -> Seen {
        let new = failures.iter().filter(|it| !self.known.iter().any(|known| known.is_like(it)));
        let new: Vec<Failure> = new.cloned().collect();
        let verdict = match self.wanted.is_empty() {
            true if new.is_empty() => Verdict::Good,
            // The bad end: its failures are what is looked for.
            true => Verdict::Bad,
            false => failure::verdict(&self.wanted, &new),
        };
        let why = failure::causes(&new).into_iter().next();
        Seen { verdict, why, failures }
    }

    /// To be called with the failures of the bad end.
    pub fn want(&mut self, failures: &[Failure]) {
        self.wanted = failures.to_vec();
        let fails = |host: &HostName| failures.iter().any(|it| it.host.as_ref() == Some(host));
        if failures.iter().all(|failure| failure.host.is_some()) {
            self.hosts.retain(|host| fails(host));
        }
    }

    /// To be called with the failures of the good end: what fails there already is not
    /// looked for.
    pub fn forgive(&mut self, failures: &[Failure]) {
        self.known = failures.to_vec();
        self.wanted.retain(|wanted| !failures.iter().any(|known| known.is_like(wanted)));
    }
}

/// What `check` and `build-all` would say of each host.
fn failures(judgement: Judgement) -> Vec<Failure> {
    let Judgement { outcomes, variants } = judgement;
    let hosts: Vec<HostName> = outcomes.keys().cloned().collect();
    let report = CheckReport::new(&hosts, outcomes, &Default::default());
    let is_error = |finding: &&Finding| finding.severity == Severity::Error;
    let mut found = vec![];
    for host in &report.hosts {
        let errors = host.findings.iter().filter(is_error);
        found.extend(errors.map(|finding| Failure::of_finding(Some(&host.host), finding)));
    }
    for variant in variants.iter().filter(|variant| !variant.state.well()) {
        found.extend(not_built(variant));
    }
    found
}

fn not_built(variant: &VariantReport) -> Vec<Failure> {
    let log = variant.log.as_ref().and_then(|log| files::read(Path::new(log)).ok());
    let log = log.unwrap_or_else(|| variant.log_tail.join("\n"));
    let state = variant.state.as_str();
    let what = format!("{} is not built ({state})", variant.variant);
    variant.hosts.iter().map(|host| Failure::of_log(host, &what, &log)).collect()
}
