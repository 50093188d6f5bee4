//! `report`: what bench has measured, as a history for each host, model, flags and test.
//!
//! Pure: no I/O, no clock.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::bench::baseline::{self, FLOOR, Method, Verdict};
use crate::bench::llama_bench::TestResult;
use crate::bench::measurement::Model;
use crate::bench::results::{NEIGHBOURS, Record};
use crate::nix::flake_input::build_tag;
use crate::statistics;
use crate::ui::sanitize::sanitize_name;
use crate::ui::units;

#[derive(Debug, Serialize)]
pub struct Report {
    pub schema: u32,
    pub command: &'static str,
    pub hosts: Vec<Host>,
    /// Lines of the files that could not be read.
    pub damaged: Vec<Damaged>,
    /// Hosts that were asked for and have no measurement.
    pub missing: Vec<String>,
    pub ok: bool,
}

#[derive(Debug, Serialize)]
pub struct Host {
    pub host: String,
    /// The one that was measured last comes first.
    pub settings: Vec<Setting>,
}

/// A line that was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Damaged {
    pub file: String,
    /// From 1.
    pub line: usize,
    pub why: String,
}

impl std::fmt::Display for Damaged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.why)
    }
}

/// What has to be equal, besides the host and the test, for two speeds to be compared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Key {
    pub model: String,
    pub flags: Vec<String>,
    pub backends: Vec<String>,
    pub cpu: String,
    pub gpu: Option<String>,
    pub threads: Option<u32>,
}

impl Key {
    fn of(record: &Record) -> Self {
        let all =
            |texts: &[String]| texts.iter().map(|text| sanitize_name(text)).collect::<Vec<_>>();
        let Model { name, quantization, .. } = &record.model;
        Self {
            model: all(&[std::slice::from_ref(name), quantization.as_slice()].concat()).join(" "),
            // Its environment makes as much of a difference.
            flags: all(&[record.env.as_slice(), &record.flags].concat()),
            backends: all(&record.backends),
            cpu: sanitize_name(&record.cpu),
            gpu: record.gpu.as_deref().map(sanitize_name),
            threads: record.threads,
        }
    }

    /// The GPU, or the CPU where there is none.
    pub fn device(&self) -> &str {
        self.gpu.as_deref().unwrap_or(&self.cpu)
    }
}

/// What was measured in the same way, so that speeds can be compared.
#[derive(Debug, Serialize)]
pub struct Setting {
    #[serde(flatten)]
    pub key: Key,
    pub series: Vec<Series>,
}

impl Setting {
    pub fn newest(&self) -> Option<&Point> {
        self.series.iter().filter_map(|series| series.points.last()).max_by_key(|it| &it.date)
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Series {
    pub test: String,
    /// The oldest first; one for each run.
    pub points: Vec<Point>,
    /// The newest run against the last one of the llama.cpp before it, or against the
    /// run before where there was no other llama.cpp.
    pub now: Option<Change>,
    /// Since when it is slower than it was and has not recovered: an index of `points`.
    pub slower_since: Option<usize>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Point {
    pub run: String,
    pub date: String,
    pub rev: Option<String>,
    pub build: Option<u64>,
    pub variant: String,
    pub target: String,
    pub store_path: String,
    /// Tokens per second, as are the six figures after it. A round is a process.
    pub rounds: Vec<Vec<f64>>,
    pub samples: Vec<f64>,
    /// The estimate by which runs are compared.
    pub tokens_per_second: f64,
    pub median: f64,
    pub min: f64,
    pub max: f64,
    pub lower_quartile: f64,
    pub upper_quartile: f64,
    /// Against the run before.
    pub change: Option<Change>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    pub verdict: Verdict,
    /// Of the speed as bench reports it; below zero is slower.
    pub percent: f64,
    /// Holds the change with 99 % confidence.
    pub interval_percent: [f64; 2],
    /// Whether it is slower, faster, or known to be much the same.
    pub clear: bool,
    /// What it was compared with: an index of the series' points.
    pub against: usize,
}

/// How two runs are judged, in words for whoever reads a report.
pub const METHOD: &str = "A speed is the mean of the fastest quarter of llama-bench's processes, \
    each by its fastest repetition, since other programs can only slow it down; bench and list \
    print the same. A change counts if its 99 % bootstrap interval lies entirely beyond 1 %, and \
    is inconclusive if that interval is wider than 2 % to either side.";

/// What was read so far. A line becomes part of its point and is not kept.
#[derive(Default)]
pub struct Histories {
    /// The hosts to report; none are all.
    asked: Vec<String>,
    /// All hosts that have results.
    pub known: BTreeSet<String>,
    /// By host and setting.
    series: BTreeMap<(String, Key), SeriesByTest>,
}

#[derive(Default)]
struct SeriesByTest {
    /// In the order in which the tests first came.
    series: Vec<Series>,
    /// An index of `series`, by test.
    places: BTreeMap<String, usize>,
}

impl Histories {
    pub fn of(asked: &[String]) -> Self {
        Self { asked: asked.to_vec(), ..Self::default() }
    }

    pub fn add(&mut self, record: &Record) {
        let host = sanitize_name(record.host.as_str());
        if !self.known.contains(&host) {
            self.known.insert(host.clone());
        }
        if !self.asked.is_empty() && !self.asked.contains(&host) {
            return;
        }
        let SeriesByTest { series, places } =
            self.series.entry((host, Key::of(record))).or_default();
        for TestResult { test, samples, .. } in &record.results {
            let test = sanitize_name(test);
            let at = *places.entry(test).or_insert_with_key(|test| {
                let test = test.clone();
                series.push(Series { test, points: vec![], now: None, slower_since: None });
                series.len() - 1
            });
            add(&mut series[at].points, record, samples);
        }
    }

    pub fn report(self, damaged: Vec<Damaged>) -> Report {
        let Self { asked, known, series } = self;
        let mut hosts: BTreeMap<String, Vec<Setting>> = BTreeMap::new();
        for ((host, key), SeriesByTest { mut series, .. }) in series {
            series.iter_mut().for_each(judge_all);
            hosts.entry(host).or_default().push(Setting { key, series });
        }
        let with_newest_first = |(host, mut settings): (String, Vec<Setting>)| {
            settings
                .sort_by_key(|setting| Reverse(setting.newest().map(|point| point.date.clone())));
            Host { host, settings }
        };
        let hosts = hosts.into_iter().map(with_newest_first).collect();
        let missing: Vec<String> = asked.into_iter().filter(|host| !known.contains(host)).collect();
        Report { schema: 1, command: "report", hosts, damaged, ok: missing.is_empty(), missing }
    }
}

/// Adds a run, or a further round of one that is there. Lines of one run are neighbours but
/// for another build or test between them.
fn add(points: &mut Vec<Point>, record: &Record, samples: &[f64]) {
    let (run, store_path) = (sanitize_name(&record.run), sanitize_name(record.store_path.as_str()));
    let same = |point: &&mut Point| point.run == run && point.store_path == store_path;
    if let Some(point) = points.iter_mut().rev().take(NEIGHBOURS).find(same) {
        point.rounds.push(samples.to_vec());
        return;
    }
    points.push(Point {
        rounds: vec![samples.to_vec()],
        run,
        date: sanitize_name(&record.date),
        rev: record.llama_cpp.rev.as_deref().map(sanitize_name),
        build: record.llama_cpp.build.filter(|build| *build > 0),
        variant: sanitize_name(record.variant.as_str()),
        target: sanitize_name(&record.target),
        store_path,
        ..Point::default()
    });
}

/// Between the two nearest values, in proportion (the usual "type 7" of Hyndman and Fan,
/// Sample Quantiles in Statistical Packages, 1996). `sorted` ascends.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let place = share * last as f64;
    let (below, above) = (place.floor() as usize, place.ceil() as usize);
    sorted[below] + (sorted[above] - sorted[below]) * place.fract()
}

/// As many of a series' newest runs as are judged, which is as many as are drawn: a verdict
/// costs a bootstrap.
pub const JUDGED: usize = 60;

fn judge_all(series: &mut Series) {
    let points = &mut series.points;
    // Runs of one instant keep the order in which they were written.
    points.sort_by(|a, b| a.date.cmp(&b.date));
    points.iter_mut().for_each(Point::summarise);
    let Some(last) = points.len().checked_sub(1) else { return };
    let first = points.len().saturating_sub(JUDGED).max(1);
    for index in first..points.len() {
        points[index].change = change(points, index - 1, index);
    }
    let newest = &points[last];
    let before = points.iter().rposition(|point| !point.same_llama_cpp(newest));
    let before = before.or_else(|| last.checked_sub(1));
    series.now = before.and_then(|before| change(points, before, last));
    // A later run that is as fast as before the loss ends it.
    series.slower_since = (first..points.len()).find(|index| {
        points[*index].verdict() == Verdict::Slower
            && (*index..points.len()).all(|later| lost(points, index - 1, later))
            && change(points, index - 1, last).is_some_and(|now| now.verdict == Verdict::Slower)
    });
}

/// By the estimate alone.
fn lost(points: &[Point], before: usize, now: usize) -> bool {
    let [old, new] = [before, now].map(|index| points[index].tokens_per_second);
    (new / old - 1.0) * 100.0 < -FLOOR
}

fn change(points: &[Point], before: usize, now: usize) -> Option<Change> {
    let (old, new) = (&points[before].rounds, &points[now].rounds);
    let change = baseline::change("", old, new, Method::Stored)?;
    Some(Change {
        verdict: change.verdict,
        percent: change.change_percent,
        interval_percent: change.interval_percent,
        clear: change.is_clear(),
        against: before,
    })
}

impl Point {
    /// Of all samples together.
    fn summarise(&mut self) {
        self.samples = self.rounds.concat();
        let mut sorted = self.samples.clone();
        sorted.sort_by(f64::total_cmp);
        self.tokens_per_second = statistics::speed(&self.rounds).unwrap_or_default();
        [self.min, self.lower_quartile, self.median, self.upper_quartile, self.max] =
            [0.0, 0.25, 0.5, 0.75, 1.0].map(|share| quantile(&sorted, share));
    }

    pub fn same_llama_cpp(&self, other: &Self) -> bool {
        (&self.rev, self.build) == (&other.rev, other.build)
    }

    /// Against the run before; the first one is the same as itself.
    pub fn verdict(&self) -> Verdict {
        self.change.as_ref().map_or(Verdict::Same, |change| change.verdict)
    }

    /// `b10453`, or the start of the revision where no build is known.
    pub fn llama_cpp(&self) -> String {
        let rev = || Some(self.rev.as_ref()?.chars().take(7).collect());
        build_tag(self.build).or_else(rev).unwrap_or_else(|| "unknown".to_owned())
    }

    /// `2026-11-22`.
    pub fn day(&self) -> &str {
        units::day(&self.date)
    }
}

/// What llama-bench's name of a test means, where it is one of the usual.
pub fn test_in_words(test: &str) -> Option<String> {
    let (name, depth) = match test.split_once(" @ d") {
        Some((name, depth)) => (name, Some(depth)),
        None => (test, None),
    };
    let tokens = |part: &str, kind: &str| part.strip_prefix(kind)?.parse::<u32>().ok();
    let words = match name.split_once('+') {
        Some((prompt, rest)) => format!(
            "a prompt of {} tokens, then {} generated",
            tokens(prompt, "pp")?,
            tokens(rest, "tg")?
        ),
        None => match tokens(name, "pp") {
            Some(count) => format!("reading a prompt of {count} tokens"),
            None => format!("generating {} tokens", tokens(name, "tg")?),
        },
    };
    Some(match depth {
        Some(depth) => format!("{words}, {depth} tokens in"),
        None => words,
    })
}

#[cfg(test)]
#[path = "history_tests.rs"]
mod tests;
