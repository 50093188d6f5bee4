//! Judges a revision by the speed of its llama-bench relative to the good end: both run in turns on
//! the host's machine until the verdict is certain, or the last round is over. A package with the
//! same parts as a judged one is neither built nor measured.

use std::slice;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};

use crate::bench::baseline::{NOISE_FLOOR, NOTICEABLE};
use crate::bench::command::tuned_subject;
use crate::bench::comparison::Samples;
use crate::bench::deploy::build_and_copy;
use crate::bench::machine::Machine;
use crate::bench::measure::Setup;
use crate::bench::measurement::{Model, Params, Subject};
use crate::bench::model::choice::{ModelSource, describe, provide};
use crate::bench::model::quantize::Quantization;
use crate::bench::model::smoke::{Size, SmokeModel};
use crate::bench::paired_run::{self, ComparisonTarget, Rounds};
use crate::bench::preflight::preflight;
use crate::bench::session::{self, Session};
use crate::check::report::CheckReport;
use crate::findings::finding::{Finding, Severity, or_finding};
use crate::fleet::manifest::Part;
use crate::fleet::names::HostName;
use crate::nix::flake_input::Revision;
use crate::pin::args::BisectArgs;
use crate::pin::bisect::failure::{self, Failure};
use crate::pin::bisect::judge::trial;
use crate::pin::bisect::report::{Judgement, Measured};
use crate::pin::bisect::search::Verdict;
use crate::statistics::{Decision, LOOKS, Ratio, paired};
use crate::system::interrupt::{self, Interrupted};
use crate::target::Target;
use crate::target::selection::{LOCAL, fleet_target, ssh_options};
use crate::ui::Ui;
use crate::upstream::trial_fleet::{self, PinState, TrialFleet};

/// Parameters for the smoke model, with which a run takes a second.
const PARAMS: Params = Params {
    prompt: 64,
    generate: 16,
    repetitions: 5,
    // `Bench::measure` determines the number.
    rounds: 1,
    time_budget: Duration::ZERO,
    timeout: Duration::from_secs(300),
    args: vec![],
};

/// The judgement of the good end.
const GOOD: Judgement = Judgement::new(Verdict::Good, None);

/// A search by speed: the machine, the measured revisions, and the slowdown to search for.
pub struct Bench<'a> {
    pin: &'a PinState<'a>,
    host: HostName,
    machine: Machine,
    _session: Session,
    model: Model,
    model_path: String,
    good: Revision,
    /// The good end after its evaluation, with its trial until it is built and copied.
    base: Option<(Subject, Option<TrialFleet>)>,
    /// The judged packages, by their parts.
    judged: Vec<(Revision, Vec<Part>, Judgement)>,
    /// The slowdown in percent to search for, if the user gave one.
    percent: Option<f64>,
    /// The test in which the bad end is slower, with the limit.
    pub wanted: Option<Measured>,
}

impl<'a> Bench<'a> {
    /// Connects to the machine and provides the model there.
    ///
    /// # Errors
    /// A [`Finding`] if the machine cannot be reached or used.
    pub fn open(
        args: &BisectArgs,
        pin: &'a PinState<'a>,
        host: &HostName,
        good: &Revision,
        percent: Option<f64>,
    ) -> Result<Self> {
        let name = host.as_str();
        let mut target = match (&args.target, args.local || name == LOCAL) {
            (Some(destination), _) => Target::ssh(destination, ssh_options()),
            (None, true) => Ok(Target::Local),
            (None, false) => fleet_target(pin.context, name),
        }
        // An invalid destination is a usage error, not a finding.
        .map_err(|error| anyhow!("{error:#}"))?;
        let session =
            session::open(pin.context, &mut target, &format!("bisect --host {name}"), true)?;
        let machine = Machine::discover(&target)?;
        let smoke = SmokeModel { size: Size::M29, quantization: Quantization::Q4_0 };
        let model_path = provide(&ModelSource::Smoke(smoke), pin.context, &machine)?;
        Ok(Self {
            pin,
            host: host.clone(),
            machine,
            _session: session,
            model: describe(smoke),
            model_path,
            good: good.clone(),
            base: None,
            judged: vec![],
            percent,
            wanted: None,
        })
    }

    /// Returns the name of the machine on which the search measures.
    pub fn target(&self) -> &str {
        self.machine.target.name()
    }

    pub fn judge(&mut self, revision: &Revision) -> Result<Judgement> {
        let (base, trial) = match self.base.take() {
            Some(base) => base,
            None => {
                let (base, trial) = self.of_good_end(self.select(&self.good))?;
                self.judged.push((self.good.clone(), base.manifest.parts.clone(), GOOD));
                (base, Some(trial))
            }
        };
        let (trial, judgement) = match or_finding(self.select(revision))? {
            Err(finding) => (trial, self.inconclusive(&finding)),
            Ok((subject, new_trial)) => match self.with_same_parts(&subject) {
                Some(known) => (trial, known),
                None => {
                    if let Some(trial) = &trial {
                        self.of_good_end(self.build(trial, &base))?;
                    }
                    let built = or_finding(self.build(&new_trial, &subject))?;
                    let judgement = match built {
                        Ok(()) => self.measure(&base, &subject)?,
                        Err(finding) => self.inconclusive(&finding),
                    };
                    let parts = subject.manifest.parts;
                    self.judged.push((revision.clone(), parts, judgement.clone()));
                    (None, judgement)
                }
            },
        };
        self.base = Some((base, trial));
        Ok(judgement)
    }

    /// Returns the judgement of an earlier package with the same parts, if there is one.
    fn with_same_parts(&self, subject: &Subject) -> Option<Judgement> {
        let parts = &subject.manifest.parts;
        let is_known = |(_, judged, judgement): &&(Revision, Vec<Part>, Judgement)| {
            !parts.is_empty() && judged == parts && judgement.verdict != Verdict::Inconclusive
        };
        let (revision, _, judgement) = self.judged.iter().find(is_known)?;
        let why = format!("{}: has the same parts as {}", self.host, revision.name());
        Some(Judgement { why: Some(why), ..judgement.clone() })
    }

    /// Turns a finding about the good end into an error, which ends the search.
    fn of_good_end<T>(&self, result: Result<T>) -> Result<T> {
        or_finding(result)?.map_err(|finding| {
            let (good, why) = (self.good.name(), finding.message);
            anyhow!("--good {good} cannot be measured: {why}; pass another --good")
        })
    }

    /// Evaluates a revision.
    fn select(&self, revision: &Revision) -> Result<(Subject, TrialFleet)> {
        let trial = trial(self.pin, revision)?;
        Ok((self.subject(&trial)?, trial))
    }

    /// Builds the package of a revision and copies it to the machine.
    fn build(&self, trial: &TrialFleet, subject: &Subject) -> Result<()> {
        let findings = preflight(&self.machine, subject, &subject.manifest.bench_args(&[]), false);
        if let Some(error) = findings.into_iter().find(|it| it.severity == Severity::Error) {
            bail!(error);
        }
        build_and_copy(&trial.context, &self.machine, subject)
    }

    fn subject(&self, trial: &TrialFleet) -> Result<Subject> {
        if self.host.as_str() == LOCAL {
            return tuned_subject(&trial.context, &self.machine).map_err(|error| {
                match interrupt::requested() {
                    true => Interrupted.into(),
                    false => Finding::error("eval-error", format!("{error:#}"), "").into(),
                }
            });
        }
        let outcomes = trial_fleet::evaluate(trial, slice::from_ref(&self.host))?;
        if let Some(selection) = outcomes.selection(&self.host) {
            return Ok(Subject::new(self.host.clone(), selection.clone()));
        }
        let failed = CheckReport::new(&outcomes.hosts(), outcomes, &Default::default()).hosts;
        let mut findings = failed.into_iter().flat_map(|host| host.findings);
        bail!(findings.find(|it| it.severity == Severity::Error).unwrap_or_else(|| {
            Finding::error("no-module", "this host does not use llama.cpp", "")
        }))
    }

    fn inconclusive(&self, finding: &Finding) -> Judgement {
        let failures = vec![Failure::of_finding(Some(&self.host), finding)];
        let why = failure::causes(&failures).into_iter().next();
        Judgement { failures, ..Judgement::new(Verdict::Inconclusive, why) }
    }

    /// Runs both packages in turns until the verdict is certain, or the last round is over.
    fn measure(&self, base: &Subject, new: &Subject) -> Result<Judgement> {
        let ui = &self.pin.context.ui;
        let quiet = Ui { quiet: true, ..*ui };
        let targets = [("good", base), ("this", new)]
            .map(|(label, subject)| ComparisonTarget::new(label, subject));
        let params = Params { args: new.manifest.bench_args(&[]), ..PARAMS };
        let last = LOOKS[LOOKS.len() - 1];
        let mut enough = |round: u32, samples: &[Samples]| {
            let round = round as usize;
            if !LOOKS.contains(&round) {
                return false;
            }
            let judgement = self.weigh(samples, round == last);
            let why = judgement.why.as_deref().unwrap_or_default();
            ui.debug(format!("  after {round} rounds: {why}"));
            judgement.verdict != Verdict::Inconclusive
        };
        let most = u32::try_from(last).context("rounds")?;
        let seed = paired_run::random_seed();
        let rounds = Rounds { most, seed, enough: Some(&mut enough) };
        let (ui, machine, params) = (&quiet, &self.machine, &params);
        let Self { model, model_path, .. } = self;
        let setup = Setup { ui, machine, model, model_path, params };
        let run = paired_run::run(setup, &targets, rounds)?;
        Ok(match run.finding {
            Some(finding) => self.inconclusive(&finding),
            None => self.weigh(&run.samples, true),
        })
    }

    /// Judges by the test in which the bad end is slower, or for the bad end itself by its worst
    /// test.
    fn weigh(&self, samples: &[Samples], at_last: bool) -> Judgement {
        let all = samples[1].tests().filter_map(|(test, new)| {
            let ratio = paired(samples[0].of(test), new)?;
            let limit = match (&self.wanted, self.percent) {
                (Some(wanted), _) => (wanted.test == *test).then_some(wanted.limit)?,
                (None, Some(percent)) => 1.0 - percent / 100.0,
                // The limit of `bench` and `update`.
                (None, None) => 1.0 - NOISE_FLOOR / 100.0,
            };
            Some((test, ratio, limit, new.len()))
        });
        let Some((test, ratio, limit, rounds)) = worst(all) else {
            let why = Some("llama-bench reported no speeds".to_owned());
            return Judgement::new(Verdict::Inconclusive, why);
        };
        let decision = ratio.compare(limit);
        let limit = match (&self.wanted, self.percent) {
            (None, None) => ratio.half_of_loss().unwrap_or(limit),
            _ => limit,
        };
        // If any loss is searched for and the last round rules out one that `bench` would notice,
        // the revision is good.
        let is_any = self.wanted.is_none() && self.percent.is_none();
        let is_equal = is_any && at_last && ratio.low > 1.0 - NOTICEABLE / 100.0;
        let verdict = match decision {
            Decision::Slower => Verdict::Bad,
            Decision::NotSlower => Verdict::Good,
            Decision::Undecided if is_equal => Verdict::Good,
            Decision::Undecided => Verdict::Inconclusive,
        };
        let noise = if decision == Decision::Undecided { ", within noise" } else { "" };
        let why = Some(format!("{}: {test} {ratio} in {rounds} rounds{noise}", self.host));
        let measured = Some(Measured {
            test: test.to_owned(),
            ratio: ratio.estimate,
            low: ratio.low,
            high: ratio.high,
            limit,
            rounds,
        });
        Judgement { measured, ..Judgement::new(verdict, why) }
    }
}

/// A test with its ratio, its limit and its number of rounds.
type Compared<'a> = (&'a str, Ratio, f64, usize);

/// Returns the slowest of the tests that are certainly slower, or else of those that may be: the
/// noise of one test does not hide the loss in another.
fn worst<'a>(tests: impl Iterator<Item = Compared<'a>>) -> Option<Compared<'a>> {
    tests.min_by(|(_, a, a_limit, _), (_, b, b_limit, _)| {
        let decisions = a.compare(*a_limit).cmp(&b.compare(*b_limit));
        decisions.then(a.estimate.total_cmp(&b.estimate))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certain_loss_counts_before_a_noisy_one_and_that_before_none() {
        let test = |name, estimate, low, high| (name, Ratio { estimate, low, high }, 0.99, 8);
        let noisy = test("noisy", 0.94, 0.8, 1.1);
        let slower = test("slower", 0.96, 0.95, 0.97);
        let equal = test("equal", 1.0, 0.995, 1.005);
        let worst_of = |tests: &[Compared<'static>]| worst(tests.iter().copied()).map(|it| it.0);
        assert_eq!(worst_of(&[equal, noisy, slower]), Some("slower"));
        assert_eq!(worst_of(&[equal, noisy]), Some("noisy"));
        let noisier = test("noisier", 1.05, 0.9, 1.2);
        assert_eq!(worst_of(&[equal, noisier]), Some("noisier"));
        assert_eq!(worst_of(&[]), None);
    }
}
