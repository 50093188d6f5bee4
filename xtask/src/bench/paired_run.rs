//! Runs several builds on one machine in turns and in random order, so that other programs on the
//! machine disturb all of them alike: for `--compare`, the check against the baseline, canaries and
//! `bisect --by bench`.

use anyhow::Result;

use crate::bench::comparison::{Samples, Standing, standings};
use crate::bench::measure::{Results, Setup, measure};
use crate::bench::measurement::Subject;
use crate::findings::finding::{Finding, Severity};
use crate::statistics::random::Orders;
use crate::system::resources::now;
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

/// The results of a paired run.
pub struct PairedRun {
    /// In the order of the comparison targets.
    pub samples: Vec<Samples>,
    /// Device and number of threads of the first comparison target; another build may name the
    /// same CPU differently, such as `BLAS`.
    pub device: Option<String>,
    pub threads: Option<u32>,
    /// The error that ended the run.
    pub finding: Option<Finding>,
}

impl PairedRun {
    pub fn standings(&self, targets: &[ComparisonTarget]) -> Vec<Standing> {
        let labels = targets.iter().map(|target| target.label.as_str());
        standings(&labels.zip(&self.samples).collect::<Vec<_>>())
    }
}

/// Called after each round; returns whether the samples are enough.
pub type Enough<'a> = &'a mut dyn FnMut(u32, &[Samples]) -> bool;

/// Number and order of the rounds of a paired run.
pub struct Rounds<'a> {
    pub most: u32,
    /// Seed of the random order within each round.
    pub seed: u64,
    pub enough: Option<Enough<'a>>,
}

/// Returns a seed that differs from run to run. With the same one, the same build would always run
/// first, while the machine is still cool.
pub fn random_seed() -> u64 {
    now() ^ u64::from(std::process::id())
}

impl Rounds<'_> {
    pub fn exactly(rounds: u32, seed: u64) -> Self {
        Self { most: rounds, seed, enough: None }
    }
}

/// Runs every target once per round. Many rounds with few repetitions give the best results.
pub fn run(setup: Setup, targets: &[ComparisonTarget], rounds: Rounds) -> Result<PairedRun> {
    let ui = setup.ui;
    let quiet = Setup { ui: &Ui { quiet: true, ..*ui }, ..setup };
    let Rounds { most, seed, mut enough } = rounds;
    let at_most = if enough.is_some() { "at most " } else { "" };
    // Random, because a fixed order would run each build after the same other one.
    let mut orders = Orders::new(seed, targets.len());
    let live = Live::start(ui);
    let mut results = Results { live: Some(&live), ..Results::default() };
    let samples = vec![Samples::default(); targets.len()];
    let mut run = PairedRun { samples, device: None, threads: None, finding: None };
    for round in 1..=most {
        let what = format!("round {round} of {at_most}{most}");
        if !ui.bars {
            ui.status(format!("  {what}"));
        }
        for (turn, which) in (0..).zip(orders.draw().iter().copied()) {
            let ComparisonTarget { label, subject } = &targets[which];
            let each = u32::try_from(targets.len()).unwrap_or(u32::MAX);
            live.at((round - 1) * each + turn, most * each, &format!("{what}, {label}"));
            let report = measure(quiet, subject, &mut results)?;
            run.samples[which].add(&report.results);
            if which == 0 {
                (run.device, run.threads) = (report.device, report.threads);
            }
            // A warning, such as that upstream's package runs on BLAS, does not end the run. An
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
