//! Several builds on one machine, in turns and in random order: whatever else the
//! machine does in these minutes meets all of them.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::bench::comparison::{Samples, Standing, standings};
use crate::bench::machine::Machine;
use crate::bench::measure::measure;
use crate::bench::measurement::{Model, Params, Subject};
use crate::bench::random::SplitMix;
use crate::findings::finding::{Finding, Severity};
use crate::ui::Ui;

/// One of those that are held against each other.
pub struct Contender {
    pub label: String,
    pub subject: Subject,
    /// Its llama-bench on the machine.
    pub llama_bench: String,
}

/// Samples of each test, in tokens per second, round by round.
pub type Rounds = BTreeMap<String, Vec<Vec<f64>>>;

/// What came of a comparison: the first contender is what the ratios are to.
pub struct Comparison {
    pub standings: Vec<Standing>,
    /// Of each contender: each test's samples, round by round.
    pub rounds: Vec<Rounds>,
    pub findings: Vec<Finding>,
}

/// Runs every contender once a round; `params.repetitions` is better small.
pub fn compare(
    ui: &Ui,
    machine: &Machine,
    contenders: &[Contender],
    (model, model_path): (&Model, &str),
    params: &Params,
    (rounds, seed): (u32, u64),
) -> Result<Comparison> {
    let quiet = Ui { quiet: true, ..*ui };
    let mut samples = vec![Samples::default(); contenders.len()];
    // Whoever is always first would always find the machine as the last one left it.
    let mut random = SplitMix(seed);
    let mut rounds_of = vec![Rounds::new(); contenders.len()];
    let mut findings = vec![];
    'rounds: for round in 1..=rounds {
        ui.say(format!("  round {round} of {rounds}"));
        let mut order: Vec<usize> = (0..contenders.len()).collect();
        random.shuffle(&mut order);
        for which in order {
            let Contender { label, subject, llama_bench } = &contenders[which];
            let model = (model, model_path);
            let report =
                measure(&quiet, machine, subject, llama_bench, model, params, &mut |_, _| {})?;
            samples[which].add(&report.results);
            for result in &report.results {
                let tests = rounds_of[which].entry(result.test.clone()).or_default();
                tests.push(result.samples.clone());
            }
            // A warning (upstream's package runs on BLAS) says what is compared, and does
            // not end the comparison.
            let errors = report.findings.into_iter().filter(|f| f.severity == Severity::Error);
            findings.extend(errors.map(|finding| Finding {
                message: format!("{label}: {}", finding.message),
                ..finding
            }));
            if !findings.is_empty() {
                // It would fail in every round.
                break 'rounds;
            }
        }
    }
    let labels = contenders.iter().map(|contender| contender.label.clone());
    let named: Vec<(String, Samples)> = labels.zip(samples).collect();
    Ok(Comparison { standings: standings(&named), rounds: rounds_of, findings })
}
