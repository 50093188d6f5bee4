//! Judges a revision by how fast its llama-bench is beside that of the good end: both run
//! in turns on the host's machine, until it is sure which it is or that it cannot be told.

use anyhow::{Context as _, Result, anyhow, bail};

use crate::bench::baseline::FLOOR;
use crate::bench::command::tuned_subject;
use crate::bench::comparison::Samples;
use crate::bench::deploy::build_and_copy;
use crate::bench::machine::Machine;
use crate::bench::measurement::{Model, Params, Subject};
use crate::bench::model::choice::{ModelSource, describe, provide};
use crate::bench::model::quantize::Quantization;
use crate::bench::model::smoke::{Size, SmokeModel};
use crate::bench::paired_run::{self, ComparisonTarget, Rounds};
use crate::bench::preflight::preflight;
use crate::bench::session::{self, Session};
use crate::check::report::Evaluated;
use crate::findings::finding::{Finding, none_is_an_error};
use crate::fleet::context::Context;
use crate::nix::flake_input::Revision;
use crate::nix::names::HostName;
use crate::pin::args::BisectArgs;
use crate::pin::bisect::failure::Failure;
use crate::pin::bisect::judge::{Judgement, failures, refuse_unfetched};
use crate::pin::bisect::report::Measured;
use crate::pin::bisect::search::Verdict;
use crate::statistics::{Decision, LOOKS, paired};
use crate::system::interrupt;
use crate::system::interrupt::Interrupted;
use crate::target::selection::{LOCAL, fleet_target, ssh_options};
use crate::target::{Target, or_finding};
use crate::upstream::trial_fleet::{self, Depth, PinState, TrialFleet};

/// Of the smoke model, so that a run takes a second.
const PARAMS: Params = Params {
    prompt: 64,
    generate: 16,
    repetitions: 5,
    // As many as it takes are run by `Bench::measure`.
    rounds: 1,
    patience: std::time::Duration::ZERO,
    timeout: std::time::Duration::from_secs(300),
    args: vec![],
};

/// The machine, what lies ready there, and what is looked for.
pub struct Bench<'a> {
    pin: &'a PinState<'a>,
    host: HostName,
    machine: Machine,
    _session: Session,
    model: Model,
    model_path: String,
    good: Revision,
    /// The good end, built and copied, once it was needed.
    base: Option<Subject>,
    /// As the user gave it: slower by so many percent.
    percent: Option<f64>,
    /// What the bad end is slower in, and from where on that counts.
    pub wanted: Option<Measured>,
}

impl<'a> Bench<'a> {
    /// # Errors
    /// [`crate::target::Refused`]: the machine cannot be reached or used.
    pub fn open(
        args: &BisectArgs,
        context: &Context,
        pin: &'a PinState<'a>,
        good: &Revision,
        percent: Option<f64>,
    ) -> Result<Self> {
        let name = args
            .host
            .as_deref()
            .context("--by bench measures one host: pass --host (`local` is this machine)")?;
        let mut target = match (&args.target, args.local || name == LOCAL) {
            (Some(destination), _) => Target::ssh(destination, ssh_options()),
            (None, true) => Ok(Target::Local),
            (None, false) => fleet_target(context, name),
        }
        // A destination that is none is a usage error, not a finding.
        .map_err(|error| anyhow!("{error:#}"))?;
        let purpose = format!("bisect --host {name}");
        let session = session::open(context, &mut target, &purpose, true)?;
        let machine = Machine::discover(&target)?;
        let smoke = SmokeModel { size: Size::M29, quantization: Quantization::Q4_0 };
        let model_path = provide(&ModelSource::Smoke(smoke), context, &machine)?;
        Ok(Self {
            pin,
            host: HostName::new(name),
            machine,
            _session: session,
            model: describe(smoke),
            model_path,
            good: good.clone(),
            base: None,
            percent,
            wanted: None,
        })
    }

    pub fn judge(&mut self, revision: &Revision) -> Result<Judgement> {
        let base = match self.base.take() {
            Some(base) => base,
            None => match self.ready(&self.good.clone())? {
                Ok(base) => base,
                Err(failure) => bail!(
                    "--good {} cannot be measured: {}; pass another --good",
                    self.good.name(),
                    failure.message
                ),
            },
        };
        let seen = match self.ready(revision)? {
            Ok(subject) => self.measure(&base, &subject)?,
            Err(failure) => inconclusive(failure),
        };
        self.base = Some(base);
        Ok(seen)
    }

    /// Evaluated, built, and copied to the machine.
    fn ready(&self, revision: &Revision) -> Result<Result<Subject, Failure>> {
        let fails = |finding: &Finding| Failure::of_finding(Some(&self.host), finding);
        let trial = match self.pin.trial_fleet(revision, None)? {
            Ok(trial) => trial,
            Err(finding) => {
                refuse_unfetched(&finding)?;
                return Ok(Err(fails(&finding)));
            }
        };
        let subject = match self.subject(&trial)? {
            Ok(subject) => subject,
            Err(failure) => return Ok(Err(failure)),
        };
        let findings =
            preflight(&self.machine, &subject, &subject.manifest.bench_args(&[]), false)?;
        if !none_is_an_error(&findings) {
            return Ok(Err(fails(&findings[0])));
        }
        let built = or_finding(build_and_copy(&trial.context, &self.machine, &subject))?;
        Ok(built.map(|()| subject).map_err(|finding| fails(&finding)))
    }

    fn subject(&self, trial: &TrialFleet) -> Result<Result<Subject, Failure>> {
        let fails = |finding: &Finding| Failure::of_finding(Some(&self.host), finding);
        let host = self.host.clone();
        if host.as_str() == LOCAL {
            return match tuned_subject(&trial.context, &self.machine) {
                Ok(subject) => Ok(Ok(subject)),
                Err(_) if interrupt::requested() => bail!(Interrupted),
                Err(error) => {
                    let finding = Finding::error("eval-error", format!("{error:#}"), "");
                    Ok(Err(fails(&finding)))
                }
            };
        }
        let result = trial_fleet::judge(trial, std::slice::from_ref(&host), Depth::Evaluate)?;
        if let Some((Evaluated::Selected(selection), _)) = result.outcomes.get(&host) {
            return Ok(Ok(Subject::new(host, selection.as_ref().clone())));
        }
        let nothing = || Finding::error("no-module", "this host does not use llama.cpp", "");
        let failure = failures(result).into_iter().next();
        Ok(Err(failure.unwrap_or_else(|| fails(&nothing()))))
    }

    /// Runs both in turns until the verdict is certain, or the last look is over.
    fn measure(&self, base: &Subject, new: &Subject) -> Result<Judgement> {
        let ui = &self.pin.context.ui;
        let quiet = crate::ui::Ui { quiet: true, ..*ui };
        let targets = [("good", base), ("this", new)]
            .map(|(label, subject)| ComparisonTarget::new(label, subject, &self.machine));
        let params = Params { args: new.manifest.bench_args(&[]), ..PARAMS };
        let last = LOOKS[LOOKS.len() - 1];
        let mut enough = |round: u32, samples: &[Samples]| {
            let round = round as usize;
            if !LOOKS.contains(&round) {
                return false;
            }
            let seen = self.weigh(samples, round == last);
            let why = seen.why.as_deref().unwrap_or_default();
            ui.debug(format!("  after {round} rounds: {why}"));
            seen.verdict != Verdict::Inconclusive
        };
        let most = u32::try_from(last).context("rounds")?;
        let rounds = Rounds { most, seed: 1, enough: Some(&mut enough) };
        let model = (&self.model, self.model_path.as_str());
        let run = paired_run::run(&quiet, &self.machine, &targets, model, &params, rounds)?;
        Ok(match run.finding {
            Some(finding) => inconclusive(Failure::of_finding(Some(&self.host), &finding)),
            None => self.weigh(&run.samples, true),
        })
    }

    /// Judges the test that the bad end is slower in; of the bad end itself, the slowest.
    fn weigh(&self, samples: &[Samples], at_last: bool) -> Judgement {
        let all = samples[1].tests().filter_map(|(test, new)| {
            let ratio = paired(samples[0].of(test), new)?;
            let limit = match (&self.wanted, self.percent) {
                (Some(wanted), _) => (wanted.test == *test).then_some(wanted.limit)?,
                (None, Some(percent)) => 1.0 - percent / 100.0,
                // As `bench` and `update` judge.
                (None, None) => 1.0 - FLOOR / 100.0,
            };
            Some((test, ratio, limit, new.len()))
        });
        let slowest =
            all.min_by(|(_, one, ..), (_, other, ..)| one.estimate.total_cmp(&other.estimate));
        let Some((test, ratio, limit, rounds)) = slowest else {
            let why = Some("llama-bench reported no speeds".to_owned());
            return Judgement {
                verdict: Verdict::Inconclusive,
                why,
                failures: vec![],
                measured: None,
            };
        };
        let decision = ratio.compare(limit);
        let limit = match (&self.wanted, self.percent) {
            (None, None) => ratio.half_of_loss().unwrap_or(limit),
            _ => limit,
        };
        // At the end of a search for any loss, that none is seen counts.
        let equal = self.wanted.is_none() && self.percent.is_none() && at_last;
        let verdict = match decision {
            Decision::Slower => Verdict::Bad,
            Decision::NotSlower => Verdict::Good,
            Decision::Undecided if equal => Verdict::Good,
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
        Judgement { verdict, why, failures: vec![], measured }
    }
}

fn inconclusive(failure: Failure) -> Judgement {
    let why =
        crate::pin::bisect::failure::causes(std::slice::from_ref(&failure)).into_iter().next();
    Judgement { verdict: Verdict::Inconclusive, why, failures: vec![failure], measured: None }
}
