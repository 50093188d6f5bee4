//! The data of `report`: a history of results for each host, model, flags and test.
//!
//! Pure: no I/O, no clock.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::bench::baseline::{self, Method, NOISE_FLOOR, Verdict};
use crate::bench::llama_bench::TestResult;
use crate::bench::measurement::Model;
use crate::bench::results::{MAX_INTERLEAVED, Record};
use crate::nix::flake_input::build_tag;
use crate::statistics;
use crate::ui::sanitize::sanitize_name;
use crate::ui::units;

#[derive(Debug, Serialize)]
pub struct Report {
    pub schema: u32,
    pub command: &'static str,
    pub hosts: Vec<Host>,
    /// Invalid lines of the results files.
    pub damaged: Vec<Damaged>,
    /// Requested hosts without results.
    pub missing: Vec<String>,
    pub ok: bool,
}

#[derive(Debug, Serialize)]
pub struct Host {
    pub host: String,
    /// The last measured one comes first.
    pub settings: Vec<Setting>,
}

/// An invalid line, which is skipped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Damaged {
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    pub why: String,
}

impl std::fmt::Display for Damaged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.why)
    }
}

/// What must be equal, besides the host and the test, for two speeds to be comparable.
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
            // The environment affects the speed like a flag.
            flags: all(&[record.env.as_slice(), &record.flags].concat()),
            backends: all(&record.backends),
            cpu: sanitize_name(&record.cpu),
            gpu: record.gpu.as_deref().map(sanitize_name),
            threads: record.threads,
        }
    }

    /// Returns the name of the GPU, or of the CPU if there is no GPU.
    pub fn device(&self) -> &str {
        self.gpu.as_deref().unwrap_or(&self.cpu)
    }
}

/// The comparable results of a host.
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
    /// One for each run, the oldest first.
    pub points: Vec<Point>,
    /// Change of the newest run from the last run with another llama.cpp, or from the previous run
    /// if there is none.
    pub now: Option<Change>,
    /// Index of the point since which it is slower and has not recovered.
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
    /// Tokens per second, as the next seven fields. A round is a process.
    pub rounds: Vec<Vec<f64>>,
    pub samples: Vec<f64>,
    /// The speed by which runs are compared.
    pub tokens_per_second: f64,
    pub median: f64,
    pub min: f64,
    pub max: f64,
    pub lower_quartile: f64,
    pub upper_quartile: f64,
    /// Change from the previous run.
    pub change: Option<Change>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    pub verdict: Verdict,
    /// Change of the speed; negative is slower.
    pub percent: f64,
    /// 99 % confidence interval of the change.
    pub interval_percent: [f64; 2],
    /// Whether the verdict is certain: slower, faster, or nearly the same.
    pub clear: bool,
    /// Index of the point that it is compared with.
    pub against: usize,
}

/// Explains in a report how runs are compared.
pub const METHOD: &str = "A speed is the mean of the fastest quarter of llama-bench's processes, \
    each by its fastest repetition, since other programs can only slow it down; bench and list \
    print the same. A change counts if its 99 % bootstrap interval lies entirely beyond 1 %, and \
    is inconclusive if that interval is wider than 2 % to either side.";

/// Collects the records by host, setting and test.
#[derive(Default)]
pub struct Histories {
    /// The hosts to report; empty means all.
    requested: Vec<String>,
    /// All hosts with results.
    pub known: BTreeSet<String>,
    /// By host and setting.
    series: BTreeMap<(String, Key), SeriesByTest>,
}

#[derive(Default)]
struct SeriesByTest {
    /// In the order of the first result.
    series: Vec<Series>,
    /// Index into `series` by test.
    places: BTreeMap<String, usize>,
}

impl Histories {
    pub fn of(requested: &[String]) -> Self {
        Self { requested: requested.to_vec(), ..Self::default() }
    }

    pub fn add(&mut self, record: &Record) {
        let host = sanitize_name(record.host.as_str());
        if !self.known.contains(&host) {
            self.known.insert(host.clone());
        }
        if !self.requested.is_empty() && !self.requested.contains(&host) {
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
        let Self { requested, known, series } = self;
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
        let missing: Vec<String> =
            requested.into_iter().filter(|host| !known.contains(host)).collect();
        Report { schema: 1, command: "report", hosts, damaged, ok: missing.is_empty(), missing }
    }
}

/// Adds a run, or another round of an existing one. Only the last points are searched, because the
/// records of a run are close together.
fn add(points: &mut Vec<Point>, record: &Record, samples: &[f64]) {
    let (run, store_path) = (sanitize_name(&record.run), sanitize_name(record.store_path.as_str()));
    let same = |point: &&mut Point| point.run == run && point.store_path == store_path;
    if let Some(point) = points.iter_mut().rev().take(MAX_INTERLEAVED).find(same) {
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

/// Returns a quantile by linear interpolation ("type 7" of Hyndman and Fan, "Sample quantiles in
/// statistical packages", 1996). `sorted` is ascending.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let place = share * last as f64;
    let (below, above) = (place.floor() as usize, place.ceil() as usize);
    sorted[below] + (sorted[above] - sorted[below]) * place.fract()
}

/// Number of the newest runs of a series that are judged and drawn; each verdict needs a bootstrap.
pub const JUDGED: usize = 60;

fn judge_all(series: &mut Series) {
    let points = &mut series.points;
    // A stable sort: runs of the same second keep the order of the file.
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
    // A later run that is as fast as before ends a slowdown.
    series.slower_since = (first..points.len()).find(|index| {
        points[*index].verdict() == Verdict::Slower
            && (*index..points.len()).all(|later| lost(points, index - 1, later))
            && change(points, index - 1, last).is_some_and(|now| now.verdict == Verdict::Slower)
    });
}

/// Whether the speed is lower by more than noise, without regard to the interval.
fn lost(points: &[Point], before: usize, now: usize) -> bool {
    let [old, new] = [before, now].map(|index| points[index].tokens_per_second);
    (new / old - 1.0) * 100.0 < -NOISE_FLOOR
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
    /// Computes the fields that depend on all samples.
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

    /// Returns the verdict against the previous run; `Same` for the first.
    pub fn verdict(&self) -> Verdict {
        self.change.as_ref().map_or(Verdict::Same, |change| change.verdict)
    }

    /// Returns `b10453`, or the start of the revision if the build number is unknown.
    pub fn llama_cpp(&self) -> String {
        let rev = || Some(self.rev.as_ref()?.chars().take(7).collect());
        build_tag(self.build).or_else(rev).unwrap_or_else(|| "unknown".to_owned())
    }

    /// Returns the date without the time, `2026-11-22`.
    pub fn day(&self) -> &str {
        units::day(&self.date)
    }
}

/// Describes a test by its llama-bench name; None for an unknown name.
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
