//! Judges a revision by whether the fleet evaluates or builds with it.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use anyhow::{Result, anyhow, bail};

use crate::build::report::VariantReport;
use crate::build::variants::{distinct, of_parts};
use crate::check::outcomes::Outcomes;
use crate::check::report::CheckReport;
use crate::findings::finding::{Finding, Severity, or_finding};
use crate::fleet::manifest::Part;
use crate::fleet::names::HostName;
use crate::nix::flake_input::Revision;
use crate::pin::bisect::failure::{self, Failure};
use crate::pin::bisect::report::Judgement;
use crate::pin::bisect::search::Verdict;
use crate::pin::drift::{self, Used};
use crate::pin::source_surface;
use crate::system::files;
use crate::system::interrupt::{self, Interrupted};
use crate::upstream::trial_fleet::{self, PinState, TrialFleet};

type PartsOfHosts = HashMap<HostName, Vec<Part>>;

/// The failures that are searched for, and the hosts.
pub struct Judge<'a> {
    pub pin: &'a PinState<'a>,
    /// Whether to build each revision, not only to evaluate it.
    pub builds: bool,
    /// The hosts to judge; after the bad end, only those that fail there.
    pub hosts: Vec<HostName>,
    /// The failures of the bad end; empty until it is judged.
    pub wanted: Vec<Failure>,
    /// The failures of the good end, which are not searched for.
    pub known: Vec<Failure>,
    /// The failures of earlier builds, by the parts of each host's package.
    pub built: Vec<(PartsOfHosts, Vec<Failure>)>,
}

impl Judge<'_> {
    pub fn judge(&mut self, revision: &Revision) -> Result<Judgement> {
        let failures = match or_finding(trial(self.pin, revision))? {
            Ok(trial) => self.failures(&trial)?,
            Err(finding) => vec![Failure::of_finding(None, &finding)],
        };
        Ok(self.weigh(failures))
    }

    fn failures(&mut self, trial: &TrialFleet) -> Result<Vec<Failure>> {
        let outcomes = trial_fleet::evaluate(trial, &self.hosts)?;
        let selected = || outcomes.selected();
        let used = Used::by(selected().map(|(host, selection)| (host, &selection.manifest)));
        // Builds only the parts that fail at the bad end, unless a host's package has none of them.
        let wanted = failure::parts(&self.wanted).filter(|wanted| {
            selected().all(|(_, it)| it.manifest.parts.iter().any(|part| is_in(wanted, part)))
        });
        let is_wanted = |part: &Part| wanted.as_ref().is_none_or(|wanted| is_in(wanted, part));
        let parts: PartsOfHosts = selected()
            .map(|(host, it)| {
                let parts = it.manifest.parts.iter().filter(|part| is_wanted(part));
                (host.clone(), parts.cloned().collect())
            })
            .collect();
        // A revision that changes no part fails like an earlier one.
        let is_split = parts.len() == self.hosts.len() && parts.values().all(|it| !it.is_empty());
        let earlier = self.built.iter().find(|(built, _)| is_split && covers(built, &parts));
        if let Some((_, failures)) = earlier {
            trial.context.ui.debug("the same parts as an earlier revision: not built");
            let applies = |it: &&Failure| {
                let part = it.part.as_deref();
                part.is_none_or(|part| wanted.as_ref().is_none_or(|names| names.contains(part)))
            };
            return Ok(failures.iter().filter(applies).cloned().collect());
        }
        if self.builds {
            let builds = match wanted {
                None => distinct(selected()),
                Some(_) => of_parts(selected(), is_wanted),
            };
            let variants = trial_fleet::build(trial, &builds)?;
            let found = [evaluation_failures(outcomes), build_failures(&variants)].concat();
            self.built.push((parts, found.clone()));
            return Ok(found);
        }
        let found = evaluation_failures(outcomes);
        // Source changes matter only if no host fails at the bad end.
        let is_silent = self.wanted.iter().all(|wanted| wanted.host.is_none());
        match found.is_empty() && is_silent {
            true => drift(self.pin, trial, &used),
            false => Ok(found),
        }
    }

    /// Returns the verdict on a revision with these failures.
    pub fn weigh(&self, failures: Vec<Failure>) -> Judgement {
        let new = failures.iter().filter(|it| !self.known.iter().any(|known| known.is_like(it)));
        let new: Vec<Failure> = new.cloned().collect();
        let verdict = match self.wanted.is_empty() {
            true if new.is_empty() => Verdict::Good,
            // The bad end: its failures are searched for.
            true => Verdict::Bad,
            false => failure::verdict(&self.wanted, &new),
        };
        let why = failure::causes(&new).into_iter().next();
        Judgement { failures, ..Judgement::new(verdict, why) }
    }

    /// Searches for these failures of the bad end from now on.
    pub fn search_for(&mut self, failures: &[Failure]) {
        self.wanted = failures.to_vec();
        let fails = |host: &HostName| failures.iter().any(|it| it.host.as_ref() == Some(host));
        if failures.iter().all(|failure| failure.host.is_some()) {
            self.hosts.retain(|host| fails(host));
        }
        if let Some(parts) = failure::parts(&self.wanted) {
            let parts = parts.into_iter().collect::<Vec<_>>().join(", ");
            self.pin.context.ui.status(format!("  from here on, only {parts} is built"));
        }
    }

    /// Ignores these failures of the good end from now on.
    pub fn ignore_known(&mut self, failures: &[Failure]) {
        self.known = failures.to_vec();
        self.wanted.retain(|wanted| !failures.iter().any(|known| known.is_like(wanted)));
    }
}

fn is_in(names: &BTreeSet<&str>, part: &Part) -> bool {
    names.contains(part.name.as_str())
}

/// Whether all parts of each host are among the built ones.
fn covers(built: &PartsOfHosts, parts: &PartsOfHosts) -> bool {
    parts.iter().all(|(host, parts)| {
        let built = built.get(host);
        built.is_some_and(|built| parts.iter().all(|part| built.contains(part)))
    })
}

/// Creates the trial fleet of a revision.
///
/// # Errors
/// A [`Finding`] if Nix cannot lock the revision. If it cannot be fetched, another error, which
/// ends the search: it is not the revision's fault.
pub fn trial(pin: &PinState<'_>, revision: &Revision) -> Result<TrialFleet> {
    const UNFETCHED: [&str; 4] =
        ["unable to download", "Cannot find Git revision", "ailed to fetch", "unable to fetch"];
    pin.trial_fleet(revision, None).map_err(|error| match error.downcast_ref::<Finding>() {
        Some(Finding { message, .. }) if UNFETCHED.iter().any(|words| message.contains(words)) => {
            anyhow!(
                "{message}\n  help: run the same command again once the revision can be fetched; \
                 the search resumes there"
            )
        }
        _ => error,
    })
}

/// Returns the errors that `update` would find in the sources: options that are passed but no
/// longer accepted.
fn drift(pin: &PinState<'_>, trial: &TrialFleet, used: &Used) -> Result<Vec<Failure>> {
    let findings = match source_surface::read(&pin.context.flake.nix, &trial.locked) {
        Ok(after) => drift::findings(used, None, &after),
        Err(_) if interrupt::requested() => bail!(Interrupted),
        Err(error) => vec![Finding::error("packaging-broken", format!("{error:#}"), "")],
    };
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error);
    Ok(errors.map(|finding| Failure::of_finding(None, finding)).collect())
}

/// Returns the failures that `check` would report.
fn evaluation_failures(outcomes: Outcomes) -> Vec<Failure> {
    let report = CheckReport::new(&outcomes.hosts(), outcomes, &Default::default());
    let findings = report.hosts.iter().flat_map(|it| it.findings.iter().map(|one| (&it.host, one)));
    let errors = findings.filter(|(_, finding)| finding.severity == Severity::Error);
    errors.map(|(host, finding)| Failure::of_finding(Some(host), finding)).collect()
}

/// Returns the failures that `build-all` would report.
fn build_failures(variants: &[VariantReport]) -> Vec<Failure> {
    let mut found = vec![];
    for variant in variants.iter().filter(|variant| !variant.state.ok()) {
        let log = variant.log.as_ref().and_then(|log| files::read(Path::new(log)).ok());
        let log = log.unwrap_or_else(|| variant.log_tail.join("\n"));
        let (what, part) = (variant.failure(), &variant.failed_part);
        let hosts = variant.build.hosts.iter();
        found.extend(hosts.map(|host| Failure::of_log(host, &what, &log, part.clone())));
    }
    found
}
