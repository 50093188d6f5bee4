//! Judges a revision by whether the fleet evaluates, or is built, with it.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::build::report::VariantReport;
use crate::check::report::{CheckReport, Evaluated};
use crate::findings::finding::{Finding, Severity};
use crate::fleet::manifest::Manifest;
use crate::hardware::microarch::Table;
use crate::nix::flake_input::Revision;
use crate::nix::names::HostName;
use crate::pin::bisect::failure::{self, Failure};
use crate::pin::bisect::report::Measured;
use crate::pin::bisect::search::Verdict;
use crate::pin::drift::{self, Needs, Used};
use crate::pin::source_surface;
use crate::system::interrupt::Interrupted;
use crate::system::{files, interrupt};
use crate::upstream::trial_fleet::{self, Depth, PinState, TrialFleet, TrialResult};

/// What was seen of one revision.
pub struct Judgement {
    pub verdict: Verdict,
    pub why: Option<String>,
    pub failures: Vec<Failure>,
    pub measured: Option<Measured>,
}

/// What is looked for, and on which hosts.
pub struct Judge<'a> {
    pub pin: &'a PinState<'a>,
    pub depth: Depth,
    /// Those that fail at the bad end, once that is known.
    pub hosts: Vec<HostName>,
    /// How the bad end fails. Empty until it was judged.
    pub wanted: Vec<Failure>,
    /// How the good end fails as well: not what came in between.
    pub known: Vec<Failure>,
}

impl Judge<'_> {
    pub fn judge(&self, revision: &Revision) -> Result<Judgement> {
        let failures = match self.pin.trial_fleet(revision, None)? {
            Ok(trial) => self.failures(&trial)?,
            Err(finding) => {
                refuse_unfetched(&finding)?;
                vec![Failure::of_finding(None, &finding)]
            }
        };
        Ok(self.weigh(failures))
    }

    fn failures(&self, trial: &TrialFleet) -> Result<Vec<Failure>> {
        let result = trial_fleet::judge(trial, &self.hosts, self.depth)?;
        let manifests = manifests(&result);
        let found = failures(result);
        // What goes wrong without a word is asked for where nothing fails aloud.
        let quietly = self.wanted.iter().all(|wanted| wanted.host.is_none());
        if self.depth == Depth::Evaluate && found.is_empty() && quietly {
            return drift(self.pin, trial, &manifests);
        }
        Ok(found)
    }

    pub fn weigh(&self, failures: Vec<Failure>) -> Judgement {
        let new = failures.iter().filter(|it| !self.known.iter().any(|known| known.is_like(it)));
        let new: Vec<Failure> = new.cloned().collect();
        let verdict = match self.wanted.is_empty() {
            true if new.is_empty() => Verdict::Good,
            // The bad end: its failures are what is looked for.
            true => Verdict::Bad,
            false => failure::verdict(&self.wanted, &new),
        };
        let why = failure::causes(&new).into_iter().next();
        Judgement { verdict, why, failures, measured: None }
    }

    /// To be called with the failures of the bad end.
    pub fn search_for(&mut self, failures: &[Failure]) {
        self.wanted = failures.to_vec();
        let fails = |host: &HostName| failures.iter().any(|it| it.host.as_ref() == Some(host));
        if failures.iter().all(|failure| failure.host.is_some()) {
            self.hosts.retain(|host| fails(host));
        }
    }

    /// To be called with the failures of the good end: what fails there already is not
    /// looked for.
    pub fn ignore_known(&mut self, failures: &[Failure]) {
        self.known = failures.to_vec();
        self.wanted.retain(|wanted| !failures.iter().any(|known| known.is_like(wanted)));
    }
}

/// The network is nobody's first bad commit, and neither is a repository that does not
/// give its commits away.
///
/// # Errors
/// Why the revision cannot be had.
pub fn refuse_unfetched(finding: &Finding) -> Result<()> {
    const UNFETCHED: [&str; 4] =
        ["unable to download", "Cannot find Git revision", "ailed to fetch", "unable to fetch"];
    if UNFETCHED.iter().any(|words| finding.message.contains(words)) {
        bail!(
            "{}\n  help: run the same command again once the revision can be fetched; the search \
             resumes there",
            finding.message
        );
    }
    Ok(())
}

fn manifests(result: &TrialResult) -> BTreeMap<HostName, Manifest> {
    let selected = |(host, (evaluated, _)): (&HostName, &(Evaluated, f64))| match evaluated {
        Evaluated::Selected(selection) => Some((host.clone(), selection.manifest.clone())),
        _ => None,
    };
    result.outcomes.iter().filter_map(selected).collect()
}

/// What `update`'s drift guard says of it: what is passed and no longer taken.
fn drift(
    pin: &PinState<'_>,
    trial: &TrialFleet,
    manifests: &BTreeMap<HostName, Manifest>,
) -> Result<Vec<Failure>> {
    let needs = Needs::embedded().context("needs.json")?;
    let table = Table::embedded().context("microarch.json")?;
    let findings = match source_surface::look(&pin.context.flake.nix, &needs, &trial.locked()) {
        Ok(after) => drift::judge(&needs, &table, &Used::by(manifests), None, &after),
        Err(_) if interrupt::requested() => bail!(Interrupted),
        Err(error) => vec![Finding::error("packaging-broken", format!("{error:#}"), "")],
    };
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error);
    Ok(errors.map(|finding| Failure::of_finding(None, finding)).collect())
}

/// What `check` and `build-all` would say of each host.
pub fn failures(result: TrialResult) -> Vec<Failure> {
    let TrialResult { outcomes, variants } = result;
    let hosts: Vec<HostName> = outcomes.keys().cloned().collect();
    let report = CheckReport::new(&hosts, outcomes, &Default::default());
    let is_error = |finding: &&Finding| finding.severity == Severity::Error;
    let mut found = vec![];
    for host in &report.hosts {
        let errors = host.findings.iter().filter(is_error);
        found.extend(errors.map(|finding| Failure::of_finding(Some(&host.host), finding)));
    }
    for variant in variants.iter().filter(|variant| !variant.state.ok()) {
        found.extend(not_built(variant));
    }
    found
}

fn not_built(variant: &VariantReport) -> Vec<Failure> {
    let log = variant.log.as_ref().and_then(|log| files::read(Path::new(log)).ok());
    let log = log.unwrap_or_else(|| variant.log_tail.join("\n"));
    let state = variant.state.as_str();
    let what = format!("{} failed to build ({state})", variant.variant);
    variant.hosts.iter().map(|host| Failure::of_log(host, &what, &log)).collect()
}
