//! Chooses the next run of a sweep from the completed runs, so that an interrupted sweep can be resumed
//! from its journal alone.
//!
//! Every point runs once per round, in random order, so that other programs on the machine disturb
//! all points alike. Without a budget, all points run in all rounds. With a budget, half of the
//! points are dropped after each stage (successive halving: Jamieson and Talwalkar, "Non-stochastic
//! best arm identification and hyperparameter optimization", 2016). The first stage has half of the
//! time and the next a quarter, because a point that is dropped by mistake is lost. Each stage has
//! more repetitions per process than the one before.
//!
//! Pure: no I/O, no clock.

use serde::{Deserialize, Serialize};

use crate::bench::comparison::Samples;
use crate::bench::llama_bench::TestResult;
use crate::statistics::random::SplitMix;
use crate::statistics::{best, speed};

/// Number of points that share the remaining time without further halving.
const FINALISTS: usize = 4;

/// The score by which points are ranked.
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
    /// Whether the test with this name counts.
    pub fn counts(self, test: &str) -> bool {
        match self {
            Self::Both => true,
            Self::Prompt => test.starts_with("pp"),
            Self::Generation => test.starts_with("tg"),
        }
    }

    /// Returns the score of a process; None if no test counts.
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
    /// Number of points of the grid.
    pub points: usize,
    /// With a budget, the maximum per stage.
    pub rounds: u32,
    pub repetitions: u32,
    /// Seconds.
    pub budget: Option<f64>,
    /// Seed of the random order.
    pub seed: u64,
    pub goal: Goal,
}

/// A llama-bench process that has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CompletedRun {
    /// Index in the grid.
    pub point: usize,
    pub round: u32,
    pub seconds: f64,
    /// Its results, or why it failed.
    pub outcome: Result<Vec<TestResult>, String>,
}

/// The next run of a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NextRun {
    pub point: usize,
    pub round: u32,
    pub repetitions: u32,
}

/// The state of a point.
#[derive(Debug, Clone, Default)]
pub struct PointState {
    /// One per round.
    pub scores: Vec<f64>,
    /// The samples of these rounds.
    pub samples: Samples,
    /// The round that failed, and why.
    pub failed: Option<(u32, String)>,
    /// Whether it was dropped in favour of others.
    pub dropped: bool,
}

impl PointState {
    /// Returns the scores as processes with one sample.
    pub fn rounds(&self) -> Vec<Vec<f64>> {
        self.scores.iter().map(|score| vec![*score]).collect()
    }

    fn is_alive(&self, round: u32) -> bool {
        self.failed.as_ref().is_none_or(|(failed, _)| *failed > round)
    }
}

/// The state of a sweep.
#[derive(Debug)]
pub struct SweepState {
    pub points: Vec<PointState>,
    /// None at its end.
    pub next: Option<NextRun>,
    /// Number of points that have neither failed nor been dropped.
    pub alive: usize,
}

impl Plan {
    /// Returns the number of halvings.
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

    /// Returns the repetitions of a stage: one in the first, then two, four, and all in the last.
    fn repetitions(&self, stage: i32) -> u32 {
        if stage == self.stages() {
            return self.repetitions;
        }
        self.repetitions.min(1 << stage.min(16))
    }

    /// Replays the completed runs; returns the state and the next run.
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
            // Half of the remaining time: half as many points have as many rounds again.
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
            // A damaged journal may lack a round; the later rounds of its point are ignored.
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

    /// Returns the better half of the points, and the best point of each test: the ends of the
    /// frontier.
    fn halve(&self, alive: &[usize], points: &[PointState], round: u32) -> Vec<usize> {
        let until = round as usize;
        let score = |point: usize| {
            let rounds = points[point].rounds();
            speed(&rounds[..until.min(rounds.len())]).unwrap_or_default()
        };
        let mut ranked: Vec<(f64, usize)> =
            alive.iter().map(|point| (score(*point), *point)).collect();
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut kept: Vec<usize> =
            ranked[..alive.len().div_ceil(2)].iter().map(|(_, point)| *point).collect();
        let first = alive.first().map(|point| points[*point].samples.tests());
        for (test, _) in first.into_iter().flatten() {
            let of = |point: &&usize| {
                let rounds = points[**point].samples.of(test);
                speed(&rounds[..until.min(rounds.len())]).unwrap_or_default()
            };
            kept.extend(alive.iter().max_by(|a, b| of(a).total_cmp(&of(b))));
        }
        kept.sort_unstable();
        kept.dedup();
        kept
    }
}

#[cfg(test)]
#[path = "search_tests.rs"]
mod tests;
