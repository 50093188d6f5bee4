//! The order of a sweep: which point of the grid runs next, as a function of what ran
//! so far, so that its journal is all that an interrupted one needs.
//!
//! Every point runs once a round, in random order: what else the machine does meets all
//! alike. Without a budget all of them run in all rounds. With one, half of the points
//! is given up at the end of each stage (Jamieson and Talwalkar, "Non-stochastic best
//! arm identification and hyperparameter optimization", 2016: successive halving). The
//! first stage has half of the time, the next a quarter, since a point that is given up
//! wrongly is lost; each has processes with more repetitions than the one before.
//!
//! Pure: no I/O, no clock.

use serde::{Deserialize, Serialize};

use crate::bench::comparison::Samples;
use crate::bench::llama_bench::TestResult;
use crate::statistics::random::SplitMix;
use crate::statistics::{best, speed};

/// So few points are no longer halved: they share what time is left.
const FINALISTS: usize = 4;

/// What "best" means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Goal {
    /// The geometric mean of all tests
    Both,
    /// Prompt tests only
    Prompt,
    /// Generation tests only
    Generation,
}

impl Goal {
    /// Whether a test counts, by llama-bench's name for it.
    pub fn counts(self, test: &str) -> bool {
        match self {
            Self::Both => true,
            Self::Prompt => test.starts_with("pp"),
            Self::Generation => test.starts_with("tg"),
        }
    }

    /// One number for a process: none if it has no test of the kind.
    fn score(self, tests: &[TestResult]) -> Option<f64> {
        let counted = tests.iter().filter(|result| self.counts(&result.test));
        let logs: Option<Vec<f64>> =
            counted.map(|result| best(&result.samples).map(f64::ln)).collect();
        let logs = logs.filter(|logs| !logs.is_empty())?;
        Some((logs.iter().sum::<f64>() / logs.len() as f64).exp())
    }
}

#[derive(Debug, Clone)]
pub struct Plan {
    /// How many points the grid has.
    pub points: usize,
    /// With a budget, the most of a stage.
    pub rounds: u32,
    pub repetitions: u32,
    /// Seconds of measuring.
    pub budget: Option<f64>,
    /// The same gives the same order again.
    pub seed: u64,
    pub goal: Goal,
}

/// A process of llama-bench that has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CompletedRun {
    /// An index of the grid.
    pub point: usize,
    pub round: u32,
    pub seconds: f64,
    /// What it measured, or why it did not.
    pub outcome: Result<Vec<TestResult>, String>,
}

/// What is to run next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NextRun {
    pub point: usize,
    pub round: u32,
    pub repetitions: u32,
}

/// All that is known of a point.
#[derive(Debug, Clone, Default)]
pub struct PointState {
    /// One a round.
    pub scores: Vec<f64>,
    /// Of these rounds.
    pub samples: Samples,
    pub failed: Option<(u32, String)>,
    /// It was given up for others.
    pub dropped: bool,
}

impl PointState {
    /// The scores as processes of one sample.
    pub fn rounds(&self) -> Vec<Vec<f64>> {
        self.scores.iter().map(|score| vec![*score]).collect()
    }

    fn is_alive(&self, round: u32) -> bool {
        self.failed.as_ref().is_none_or(|(failed, _)| *failed > round)
    }
}

/// How far a sweep is.
#[derive(Debug)]
pub struct SweepState {
    pub points: Vec<PointState>,
    /// None: it is at its end.
    pub next: Option<NextRun>,
    /// Points that still take part.
    pub alive: usize,
}

impl Plan {
    /// How often the points are halved.
    pub fn stages(&self) -> i32 {
        if self.budget.is_none() {
            return 0;
        }
        let (mut points, mut stages) = (self.points, 0);
        while points > FINALISTS {
            points = points.div_ceil(2);
            stages += 1;
        }
        stages
    }

    /// Short runs first: in the first stage one repetition, then two, four, to the last.
    fn repetitions(&self, stage: i32) -> u32 {
        if stage == self.stages() {
            return self.repetitions;
        }
        self.repetitions.min(1 << stage.min(16))
    }

    /// What has been, and what comes next.
    pub fn state(&self, ran: &[CompletedRun]) -> SweepState {
        let mut points = self.known(ran);
        let mut alive: Vec<usize> = (0..self.points).collect();
        let (mut stage, mut in_stage): (i32, u32) = (0, 0);
        let total: f64 = ran.iter().map(|ran| ran.seconds).sum();
        for round in 1.. {
            let missing = |point: &usize| points[*point].scores.len() < round as usize;
            alive.retain(|point| points[*point].is_alive(round) || !missing(point));
            let mut order = alive.clone();
            SplitMix(self.seed.wrapping_add(u64::from(round))).shuffle(&mut order);
            if let Some(point) = order.into_iter().find(missing) {
                let over = self.budget.is_some_and(|budget| total >= budget);
                let next = u32::try_from(points[point].scores.len() + 1).unwrap_or(round);
                let repetitions = self.repetitions(stage);
                let turn = NextRun { point, round: next, repetitions };
                return SweepState { points, next: (!over).then_some(turn), alive: alive.len() };
            }
            in_stage += 1;
            let seconds = |wanted: &dyn Fn(u32) -> bool| -> f64 {
                ran.iter().filter(|ran| wanted(ran.round)).map(|ran| ran.seconds).sum()
            };
            let (spent, last) = (seconds(&|r| r <= round), seconds(&|r| r == round));
            // Half of what is left: half as many points have as many rounds again.
            let is_last = stage == self.stages();
            let share = if is_last { 1.0 } else { 1.0 - 0.5_f64.powi(stage + 1) };
            let is_late = self.budget.is_some_and(|budget| spent + last > budget * share);
            if in_stage >= self.rounds || is_late || alive.is_empty() {
                if is_last || alive.is_empty() {
                    return SweepState { points, next: None, alive: alive.len() };
                }
                let kept = self.halve(&alive, &points, round);
                for point in alive.iter().filter(|point| !kept.contains(point)) {
                    points[*point].dropped = true;
                }
                (alive, stage, in_stage) = (kept, stage + 1, 0);
            }
        }
        unreachable!("the rounds of a stage are limited")
    }

    fn known(&self, ran: &[CompletedRun]) -> Vec<PointState> {
        let mut points = vec![PointState::default(); self.points];
        for ran in ran {
            let Some(known) = points.get_mut(ran.point) else { continue };
            // A journal that was damaged may lack a round: what follows it is of no use.
            if known.failed.is_some() || ran.round as usize != known.scores.len() + 1 {
                continue;
            }
            match &ran.outcome {
                Ok(tests) => match self.goal.score(tests) {
                    Some(score) => {
                        known.scores.push(score);
                        known.samples.add(tests);
                    }
                    None => known.failed = Some((ran.round, "no results".to_owned())),
                },
                Err(reason) => known.failed = Some((ran.round, reason.clone())),
            }
        }
        points
    }

    /// The better half, and whoever is best at one of the tests: the frontier's ends.
    fn halve(&self, alive: &[usize], points: &[PointState], round: u32) -> Vec<usize> {
        let until = round as usize;
        let score = |point: usize| {
            let rounds = points[point].rounds();
            speed(&rounds[..until.min(rounds.len())]).unwrap_or_default()
        };
        let mut ranked: Vec<(f64, usize)> =
            alive.iter().map(|point| (score(*point), *point)).collect();
        ranked.sort_by(|one, other| other.0.total_cmp(&one.0));
        let mut kept: Vec<usize> =
            ranked[..alive.len().div_ceil(2)].iter().map(|(_, point)| *point).collect();
        let first = alive.first().map(|point| points[*point].samples.tests());
        for (test, _) in first.into_iter().flatten() {
            let of = |point: &&usize| {
                let rounds = points[**point].samples.of(test);
                speed(&rounds[..until.min(rounds.len())]).unwrap_or_default()
            };
            kept.extend(alive.iter().max_by(|one, other| of(one).total_cmp(&of(other))));
        }
        kept.sort_unstable();
        kept.dedup();
        kept
    }
}

#[cfg(test)]
#[path = "search_tests.rs"]
mod tests;
