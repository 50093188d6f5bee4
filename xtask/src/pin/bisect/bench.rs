//! Judges a revision by how fast its llama-bench is beside that of the good end: both run
//! in turns on the host's machine, until it is sure which it is or that it cannot be told.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};

use crate::bench::command as bench;
use crate::bench::machine::Machine;
use crate::bench::measure::measure;
use crate::bench::measurement::{Model, Params, Subject};
use crate::bench::model::choice::{Place, bring, describe};
use crate::bench::model::quantize::Quantization;
use crate::bench::model::smoke::{Size, SmokeModel};
use crate::bench::preflight::preflight;
use crate::bench::session::{Hold, hold};
use crate::bench::statistics::sequential as noisy;
use crate::bench::statistics::sequential::{LOOKS, Told};
use crate::check::report::Evaluated;
use crate::findings::finding::{Finding, Severity, none_is_an_error};
use crate::fleet::context::Context;
use crate::hardware::microarch::Table;
use crate::nix::flake_input::Revision;
use crate::nix::names::HostName;
use crate::pin::args::BisectArgs;
use crate::pin::bisect::failure::Failure;
use crate::pin::bisect::judge::{Judgement, failures, refuse_unfetched};
use crate::pin::bisect::report::Measured;
use crate::pin::bisect::search::Verdict;
use crate::system::interrupt;
use crate::target::Target;
use crate::target::selection::LOCAL;
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

/// Code that lies elsewhere in memory can cost a percent or two.
const SLOWER_AT_ALL: f64 = 0.97;

/// The machine, what lies ready there, and what is looked for.
pub struct Bench<'a> {
    pin: &'a PinState<'a>,
    host: HostName,
    machine: Machine,
    _hold: Hold,
    model: Model,
    model_path: String,
    params: Params,
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
    /// There is no such machine, or no model for it.
    pub fn open(
        args: &BisectArgs,
        context: &Context,
        pin: &'a PinState<'a>,
        good: &Revision,
        percent: Option<f64>,
    ) -> Result<Result<Self, Finding>> {
        let name = args
            .host
            .as_deref()
            .context("--by bench measures one host: pass --host (`local` is this machine)")?;
        let mut target = match (&args.target, args.local || name == LOCAL) {
            (Some(destination), _) => {
                Target::ssh(destination, crate::target::selection::ssh_options())?
            }
            (None, true) => Target::Local,
            (None, false) => crate::target::selection::fleet_target(context, name)?,
        };
        let hold = match hold(context, &mut target, &format!("bisect --host {name}"), true)? {
            Ok(hold) => hold,
            Err(finding) => return Ok(Err(finding)),
        };
        let machine = match Machine::discover(&target)? {
            Ok(machine) => machine,
            Err(finding) => return Ok(Err(finding)),
        };
        let smoke = SmokeModel { size: Size::M29, quantization: Quantization::Q4_0 };
        let model_path = match bring(&Place::Smoke(smoke), context, &machine)? {
            Ok(path) => path,
            Err(finding) => return Ok(Err(finding)),
        };
        Ok(Ok(Self {
            pin,
            host: HostName::new(name),
            machine,
            _hold: hold,
            model: describe(smoke),
            model_path,
            params: PARAMS,
            good: good.clone(),
            base: None,
            percent,
            wanted: None,
        }))
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
        let findings = preflight(&self.machine, &subject, false)?;
        if !none_is_an_error(&findings) {
            return Ok(Err(fails(&findings[0])));
        }
        if let Some(finding) = bench::build(&trial.context, &subject)? {
            return Ok(Err(fails(&finding)));
        }
        Ok(match bench::copy(self.pin.context, &self.machine, &subject)? {
            None => Ok(subject),
            Some(finding) => Err(fails(&finding)),
        })
    }

    fn subject(&self, trial: &TrialFleet) -> Result<Result<Subject, Failure>> {
        let fails = |finding: &Finding| Failure::of_finding(Some(&self.host), finding);
        let host = self.host.clone();
        if host.as_str() == LOCAL {
            let table = Table::embedded().context("microarch.json")?;
            let fits = self.machine.microarch(&table);
            let microarch = fits.context("no microarchitecture fits this CPU")?;
            let selection = match bench::tuned(&trial.context, &microarch) {
                Ok(selection) => selection,
                Err(_) if interrupt::requested() => bail!("interrupted"),
                Err(error) => {
                    let finding = Finding::error("eval-error", format!("{error:#}"), "");
                    return Ok(Err(fails(&finding)));
                }
            };
            return Ok(Ok(bench::from_selection(host, selection)));
        }
        let result = trial_fleet::judge(trial, std::slice::from_ref(&host), Depth::Evaluate)?;
        if let Some((Evaluated::Selected(selection), _)) = result.outcomes.get(&host) {
            return Ok(Ok(bench::from_selection(host, selection.as_ref().clone())));
        }
        let nothing = || Finding::error("no-module", "this host does not use llama.cpp", "");
        let failure = failures(result).into_iter().next();
        Ok(Err(failure.unwrap_or_else(|| fails(&nothing()))))
    }

    /// Both in turns, the order changing, as long as it cannot be told.
    fn measure(&self, base: &Subject, new: &Subject) -> Result<Judgement> {
        let ui = &self.pin.context.ui;
        let quiet = crate::ui::Ui { quiet: true, ..*ui };
        let mut ratios: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        let last = LOOKS[LOOKS.len() - 1];
        for round in 1..=last {
            let mut speeds = [BTreeMap::new(), BTreeMap::new()];
            let order = if round % 2 == 0 { [1, 0] } else { [0, 1] };
            for which in order {
                let subject = [base, new][which];
                let bench = self.machine.target.on_disk(&bench::llama_bench(subject));
                let model = (&self.model, self.model_path.as_str());
                let args = subject.manifest.bench.args.clone();
                let params = Params { args, ..self.params.clone() };
                let report = measure(
                    &quiet,
                    &self.machine,
                    subject,
                    &bench,
                    model,
                    &params,
                    &mut |_, _| {},
                )?;
                let broken = report.findings.iter().find(|it| it.severity == Severity::Error);
                if let Some(finding) = broken {
                    return Ok(inconclusive(Failure::of_finding(Some(&self.host), finding)));
                }
                // Whatever else runs only ever slows a repetition down.
                speeds[which].extend(report.results.into_iter().filter_map(|result| {
                    Some((result.test, result.samples.into_iter().max_by(f64::total_cmp)?))
                }));
            }
            let [good, new] = speeds;
            for (test, new) in new {
                if let Some(good) = good.get(&test) {
                    ratios.entry(test).or_default().push(new / good);
                }
            }
            if !LOOKS.contains(&round) {
                continue;
            }
            let seen = self.weigh(&ratios, round == last);
            let told = seen.why.as_deref().unwrap_or_default();
            ui.detail(format!("  after {round} rounds: {told}"));
            if seen.verdict != Verdict::Inconclusive {
                return Ok(seen);
            }
        }
        Ok(self.weigh(&ratios, true))
    }

    /// In the test that the bad end is slower in; of the bad end itself, in the slowest.
    fn weigh(&self, ratios: &BTreeMap<String, Vec<f64>>, at_last: bool) -> Judgement {
        let all = ratios.iter().filter_map(|(test, rounds)| {
            let ratio = noisy::ratio(rounds)?;
            let limit = match (&self.wanted, self.percent) {
                (Some(wanted), _) => (wanted.test == *test).then_some(wanted.limit)?,
                (None, Some(percent)) => 1.0 - percent / 100.0,
                // Without a share: slower than two builds of the same source may be.
                (None, None) => SLOWER_AT_ALL,
            };
            Some((test, ratio, limit, rounds.len()))
        });
        let slowest =
            all.min_by(|(_, one, ..), (_, other, ..)| one.median.total_cmp(&other.median));
        let Some((test, ratio, limit, rounds)) = slowest else {
            let why = Some("llama-bench reported no speeds".to_owned());
            return Judgement {
                verdict: Verdict::Inconclusive,
                why,
                failures: vec![],
                measured: None,
            };
        };
        let told = noisy::tell(ratio, limit);
        let limit = match (&self.wanted, self.percent) {
            (None, None) => noisy::usual_limit(ratio).unwrap_or(limit),
            _ => limit,
        };
        // That two are equally fast is never sure; at the end, that nothing is seen counts.
        let equal = self.wanted.is_none() && self.percent.is_none() && at_last;
        let verdict = match told {
            Told::Slower => Verdict::Bad,
            Told::NotSlower => Verdict::Good,
            Told::Unsure if equal => Verdict::Good,
            Told::Unsure => Verdict::Inconclusive,
        };
        let words = noisy::words(ratio);
        let sure = if told == Told::Unsure { ", within noise" } else { "" };
        let why = Some(format!("{}: {test} {words} in {rounds} rounds{sure}", self.host));
        let measured = Some(Measured {
            test: test.clone(),
            ratio: ratio.median,
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
