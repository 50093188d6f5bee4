//! Several builds on one machine, run in turns and in random order, so that other work on
//! the machine affects all of them: `--compare`, the check against the baseline, canaries
//! and `bisect --by bench`.

use anyhow::Result;

use crate::bench::comparison::{Samples, Standing, standings};
use crate::bench::measure::{Results, Setup, measure};
use crate::bench::measurement::Subject;
use crate::findings::finding::{Finding, Severity};
use crate::statistics::random::SplitMix;
use crate::ui::Ui;
use crate::ui::progress::Live;

/// A build that takes part in a paired run.
pub struct ComparisonTarget {
    pub label: String,
    pub subject: Subject,
}

impl ComparisonTarget {
    pub fn new(label: &str, subject: &Subject) -> Self {
        Self { label: label.to_owned(), subject: subject.clone() }
    }
}

/// What a paired run measured, in the order of its targets.
pub struct PairedRun {
    pub samples: Vec<Samples>,
    /// The first target's device and number of threads; another build may name the same CPU
    /// otherwise, as `BLAS`.
    pub device: Option<String>,
    pub threads: Option<u32>,
    /// The error that ended it.
    pub finding: Option<Finding>,
}

impl PairedRun {
    pub fn standings(&self, targets: &[ComparisonTarget]) -> Vec<Standing> {
        let labels = targets.iter().map(|target| target.label.as_str());
        standings(&labels.zip(&self.samples).collect::<Vec<_>>())
    }
}

/// Asked after each round: whether the samples so far are enough.
pub type Enough<'a> = &'a mut dyn FnMut(u32, &[Samples]) -> bool;

/// How many rounds a paired run takes.
pub struct Rounds<'a> {
    pub most: u32,
    /// Which random orders they take.
    pub seed: u64,
    pub enough: Option<Enough<'a>>,
}

impl Rounds<'_> {
    pub fn exactly(rounds: u32, seed: u64) -> Self {
        Self { most: rounds, seed, enough: None }
    }
}

/// Runs every target once a round; the fewer repetitions, the better.
pub fn run(setup: Setup, targets: &[ComparisonTarget], rounds: Rounds) -> Result<PairedRun> {
    let ui = setup.ui;
    let quiet = Setup { ui: &Ui { quiet: true, ..*ui }, ..setup };
    let Rounds { most, seed, mut enough } = rounds;
    let at_most = if enough.is_some() { "at most " } else { "" };
    // Whoever is always first would always find the machine as the last one left it.
    let mut random = SplitMix(seed);
    let live = Live::start(ui);
    let mut results = Results { live: Some(&live), ..Results::default() };
    let samples = vec![Samples::default(); targets.len()];
    let mut run = PairedRun { samples, device: None, threads: None, finding: None };
    for round in 1..=most {
        let what = format!("round {round} of {at_most}{most}");
        if !ui.bars {
            ui.status(format!("  {what}"));
        }
        let mut order: Vec<usize> = (0..targets.len()).collect();
        random.shuffle(&mut order);
        for (turn, which) in (0..).zip(order) {
            let ComparisonTarget { label, subject } = &targets[which];
            let each = u32::try_from(targets.len()).unwrap_or(u32::MAX);
            live.at((round - 1) * each + turn, most * each, &format!("{what}, {label}"));
            let report = measure(quiet, subject, &mut results)?;
            run.samples[which].add(&report.results);
            if which == 0 {
                (run.device, run.threads) = (report.device, report.threads);
            }
            // A warning (upstream's package runs on BLAS) describes what is compared. An
            // error would come back in every round.
            let mut findings = report.findings.into_iter();
            if let Some(error) = findings.find(|it| it.severity == Severity::Error) {
                let message = format!("{label}: {}", error.message);
                run.finding = Some(Finding { message, ..error });
                return Ok(run);
            }
        }
        if enough.as_mut().is_some_and(|enough| enough(round, &run.samples)) {
            break;
        }
    }
    Ok(run)
}
