//! The result of a sweep: the best point of the grid, the points that are tied with it, and the
//! Pareto frontier of the tests.
//!
//! Pure: no I/O, no clock.

use serde::Serialize;

use crate::bench::baseline::{Verdict, verdict};
use crate::bench::sweep::grid::{Parameter, Point};
use crate::bench::sweep::search::{Goal, Plan, PointState, SweepState};
use crate::bench::sweep::server_flags::{NixLines, nix_lines};
use crate::findings::finding::Finding;
use crate::statistics::{Ratio, paired, speed};

/// Minimum number of rounds to call a configuration slower than the best. A sweep makes no claim
/// about a change, so it needs fewer than a comparison of builds.
const MIN_ROUNDS: usize = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    Measured,
    /// Dropped in favour of faster ones, after fewer rounds.
    Dropped,
    Failed,
    /// The budget was exhausted, or the user interrupted.
    NotMeasured,
}

/// The sweep, in bench's document.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SweepReport {
    pub parameters: Vec<Parameter>,
    pub goal: Goal,
    /// Seed of the random order.
    pub seed: u64,
    /// Time of all runs, including those before a resumption.
    pub seconds: f64,
    /// Whether the sweep ran to its end.
    pub complete: bool,
    pub configurations: Vec<Configuration>,
    /// Name of the fastest configuration.
    pub best: Option<String>,
    /// Names of configurations that are not slower than the best by more than noise.
    pub within_noise: Vec<String>,
    /// Names of configurations that no other exceeds in one test without being slower in another.
    pub frontier: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nix: Option<NixLines>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Configuration {
    /// `t=2 ctk=q8_0`
    pub name: String,
    /// Arguments of llama-bench, including the host's and the user's.
    pub args: Vec<String>,
    pub state: State,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub rounds: usize,
    pub results: Vec<TestSpeed>,
    /// Speed relative to the best configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of_best: Option<f64>,
    /// 99 % confidence interval of `ofBest`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<[f64; 2]>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TestSpeed {
    pub test: String,
    /// Mean of the fastest quarter of the processes, each by its fastest repetition.
    pub tokens_per_second: f64,
    pub samples: Vec<f64>,
}

impl SweepReport {
    /// Returns the report. `base` are the arguments of all points; `extra_flags` as in [`nix_lines`].
    pub fn new(
        plan: &Plan,
        state: &SweepState,
        parameters: Vec<Parameter>,
        points: &[Point],
        base: &[String],
        seconds: f64,
        extra_flags: bool,
    ) -> Self {
        let best = best(state);
        let point_state = |known: &PointState| match known {
            PointState { failed: Some(_), .. } => State::Failed,
            PointState { scores, .. } if scores.is_empty() => State::NotMeasured,
            PointState { dropped: true, .. } => State::Dropped,
            _ => State::Measured,
        };
        let label = |at: usize| points[at].label(&parameters);
        let configurations: Vec<Configuration> = state
            .points
            .iter()
            .enumerate()
            .map(|(at, known)| {
                let ratio = best.and_then(|best| against(&state.points[best], known));
                let ratio = ratio.filter(|_| point_state(known) != State::Failed);
                Configuration {
                    name: label(at),
                    args: points[at].args(&parameters, base),
                    state: point_state(known),
                    reason: known.failed.as_ref().map(|(_, reason)| reason.clone()),
                    rounds: known.scores.len(),
                    results: speeds(known),
                    of_best: ratio.map(|ratio| ratio.estimate),
                    interval: ratio.map(|ratio| [ratio.low, ratio.high]),
                }
            })
            .collect();
        let nix = best.map(|best| {
            nix_lines(&configurations[best].args, &parameters, &points[best], extra_flags)
        });
        Self {
            goal: plan.goal,
            seed: plan.seed,
            seconds,
            complete: state.next.is_none(),
            best: best.map(label),
            within_noise: within_noise(state, best).into_iter().map(label).collect(),
            frontier: frontier(state).into_iter().map(label).collect(),
            configurations,
            parameters,
            nix,
        }
    }

    /// Warns if there are too few rounds to call any configuration slower.
    pub fn few_rounds(&self, target: &str) -> Option<Finding> {
        let best = self.configurations.iter().find(|one| self.best.as_ref() == Some(&one.name))?;
        (best.rounds < MIN_ROUNDS && self.within_noise.len() > 1).then(|| {
            Finding::warning(
                "few-rounds",
                format!("{} rounds on {target} are too few to rank these", best.rounds),
                format!("use at least {MIN_ROUNDS} rounds: raise --rounds or --budget"),
            )
        })
    }
}

/// Returns the points that were measured to the end.
fn finalists(state: &SweepState) -> impl Iterator<Item = (usize, &PointState)> {
    state
        .points
        .iter()
        .enumerate()
        .filter(|(_, known)| known.failed.is_none() && !known.dropped && !known.scores.is_empty())
}

/// Returns the fastest finalist.
pub fn best(state: &SweepState) -> Option<usize> {
    let speed_of = |known: &PointState| speed(&known.rounds()).unwrap_or_default();
    finalists(state).max_by(|a, b| speed_of(a.1).total_cmp(&speed_of(b.1))).map(|(at, _)| at)
}

/// Compares a point with the best by the rounds that both have.
fn against(best: &PointState, known: &PointState) -> Option<Ratio> {
    paired(&best.rounds(), &known.rounds())
}

/// Returns the finalists that may be as fast as the best, including the best.
pub fn within_noise(state: &SweepState, best: Option<usize>) -> Vec<usize> {
    let Some(best) = best.map(|best| &state.points[best]) else { return vec![] };
    let is_slower = |known: &PointState| {
        let common = known.scores.len().min(best.scores.len());
        let ratio = against(best, known);
        common >= MIN_ROUNDS && ratio.is_some_and(|ratio| verdict(&ratio) == Verdict::Slower)
    };
    finalists(state).filter(|(_, known)| !is_slower(known)).map(|(at, _)| at).collect()
}

/// Returns the finalists on the Pareto frontier of the measured speeds.
pub fn frontier(state: &SweepState) -> Vec<usize> {
    let all: Vec<(usize, Vec<TestSpeed>)> =
        finalists(state).map(|(at, known)| (at, speeds(known))).collect();
    let dominates = |one: &[TestSpeed], other: &[TestSpeed]| {
        let pairs =
            || one.iter().zip(other).map(|(a, b)| (a.tokens_per_second, b.tokens_per_second));
        one.len() == other.len()
            && pairs().all(|(one, other)| one >= other)
            && pairs().any(|(one, other)| one > other)
    };
    all.iter()
        .filter(|(_, one)| !all.iter().any(|(_, other)| dominates(other, one)))
        .map(|(at, _)| *at)
        .collect()
}

fn speeds(known: &PointState) -> Vec<TestSpeed> {
    let tests = known.samples.tests().filter_map(|(test, rounds)| {
        let (tokens_per_second, samples) = (speed(rounds)?, rounds.concat());
        Some(TestSpeed { test: test.to_owned(), tokens_per_second, samples })
    });
    tests.collect()
}
