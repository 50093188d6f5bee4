//! Parses the output of llama-bench with `-o jsonl`: one JSON object per line for each finished
//! test. Results before a truncated line stay valid.
//!
//! Pure: no I/O, no clock.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::findings::finding::Finding;
use crate::statistics::speed;
use crate::ui::sanitize::sanitize_name;

/// Speed that no machine reaches, in tokens per second.
const IMPOSSIBLE: f64 = 1e12;
/// Maximum number of problems that are reported of one process.
const MAX_PROBLEMS: usize = 100;
const TOO_MANY: &str = "llama-bench printed too many results, of which the first were read";
/// Maximum number of results that are read of one process, and size of their lines.
const MAX_RESULTS: usize = 1000;
const MAX_BYTES: usize = 16 << 20;

/// The speed of one test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TestResult {
    /// Name as in llama-bench's tables: `pp128`, `tg32`, `pp128+tg32`, `tg32 @ d512`. If one run
    /// measures a test with several settings: `pp128 flash_attn=1`.
    pub test: String,
    /// Mean of the fastest quarter of the processes, each by its fastest repetition. In a results
    /// file: the mean of one process, as llama-bench prints it.
    pub tokens_per_second: f64,
    /// Standard deviation of all samples.
    pub stddev: f64,
    /// Tokens per second, one for each repetition.
    pub samples: Vec<f64>,
    /// All fields of llama-bench's output except the measured values.
    #[serde(skip)]
    pub settings: BTreeMap<String, String>,
}

impl TestResult {
    /// Returns the result of one process with these samples.
    #[cfg(test)]
    pub fn of(test: &str, samples: &[f64]) -> Self {
        Self::of_processes(test, &[samples.to_vec()])
    }

    /// Returns the result of several processes; its speed is that of [`crate::statistics::speed`].
    pub fn of_processes(test: &str, processes: &[Vec<f64>]) -> Self {
        let samples = processes.concat();
        let n = samples.len() as f64;
        let mean = samples.iter().sum::<f64>() / n;
        let squares: f64 = samples.iter().map(|sample| (sample - mean).powi(2)).sum();
        Self {
            test: test.to_owned(),
            tokens_per_second: speed(processes).unwrap_or_default(),
            stddev: if n > 1.0 { (squares / (n - 1.0)).sqrt() } else { 0.0 },
            samples,
            settings: BTreeMap::new(),
        }
    }

    /// Whether the samples can be real. A results file may have been edited.
    pub fn is_possible(&self) -> bool {
        let is_speed = |sample: &f64| (0.0..IMPOSSIBLE).contains(sample);
        !self.samples.is_empty() && self.samples.iter().all(is_speed)
    }

    pub fn threads(&self) -> Option<u32> {
        self.settings.get("n_threads")?.parse().ok()
    }

    /// Returns the test's name, followed by the settings in which results of this test differ.
    pub fn name(&self, differing: &BTreeSet<String>) -> String {
        let settings = self.settings.iter().filter(|(field, _)| differing.contains(*field));
        let settings = settings.map(|(field, value)| format!(" {field}={value}"));
        sanitize_name(&(self.test.clone() + &settings.collect::<String>()))
    }
}

/// The fields that are the same on every line of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    pub build_number: u64,
    pub cpu: String,
    pub gpu: Option<String>,
    /// Registered backends, not necessarily those that ran.
    pub backends: Vec<String>,
    pub model_bytes: u64,
    pub model_params: u64,
    pub threads: u32,
}

impl About {
    /// Returns the name of the GPU, or of the CPU if there is no GPU.
    pub fn device(&self) -> &str {
        self.gpu.as_ref().unwrap_or(&self.cpu)
    }
}

/// Everything that one run printed on stdout.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Output {
    pub results: Vec<TestResult>,
    pub about: Option<About>,
    /// The last line that is not JSON, such as a driver's warning.
    pub other_line: Option<String>,
    /// Lines with invalid results.
    pub problems: Vec<Finding>,
    /// Format of the output if it is not that of `-o jsonl`; then no line is parsed.
    pub format: Option<&'static str>,
    /// Total size of the JSON lines.
    pub bytes: usize,
}

/// The fields of a line that xtask uses.
#[derive(Deserialize)]
struct Line {
    build_number: u64,
    cpu_info: String,
    gpu_info: String,
    /// Missing in older forks, which print a switch for each backend.
    backends: Option<String>,
    model_size: u64,
    model_n_params: u64,
    n_threads: u32,
    n_prompt: u32,
    n_gen: u32,
    #[serde(default)]
    n_depth: u32,
    avg_ts: Option<f64>,
    stddev_ts: Option<f64>,
    /// Tokens per second. Should llama.cpp drop this field, the speeds are computed from the times.
    samples_ts: Option<Vec<Option<f64>>>,
    /// Nanoseconds.
    samples_ns: Option<Vec<Option<f64>>>,
}

impl Line {
    /// Returns the samples, or the average if there are none. None if one is not a number.
    fn samples(&self) -> Option<Vec<f64>> {
        let tokens = f64::from(self.n_prompt) + f64::from(self.n_gen);
        match (&self.samples_ts, &self.samples_ns) {
            (Some(samples), _) => samples.iter().copied().collect(),
            (None, Some(times)) => times.iter().map(|ns| Some(tokens * 1e9 / (*ns)?)).collect(),
            (None, None) => self.avg_ts.map(|average| vec![average]),
        }
    }
}

/// Returns the name of the last result, and adds the settings in which it differs from other results
/// of its test to `differing`. That set is shared by all rounds of a measurement, so that a round
/// that ends early uses the same names.
pub fn last_name(results: &[TestResult], differing: &mut BTreeSet<String>) -> Option<String> {
    let (last, others) = results.split_last()?;
    for other in others.iter().filter(|other| other.test == last.test) {
        let fields = last.settings.keys().chain(other.settings.keys());
        let differs = |field: &&String| last.settings.get(*field) != other.settings.get(*field);
        differing.extend(fields.filter(differs).cloned());
    }
    Some(last.name(differing))
}

/// Returns the fields of a line that are neither measured values nor part of the test's name.
fn settings(line: &str) -> BTreeMap<String, String> {
    let fields: serde_json::Map<String, Value> = serde_json::from_str(line).unwrap_or_default();
    let is_setting = |field: &str| {
        let is_measured =
            ["avg_", "stddev_", "samples_"].iter().any(|start| field.starts_with(start))
                || ["_ns", "_ts", "_time"].iter().any(|end| field.ends_with(end));
        !is_measured && !["n_prompt", "n_gen", "n_depth"].contains(&field)
    };
    let value = |value: Value| match value {
        Value::String(text) => text,
        // Some revisions print a switch as a bool, others as a number.
        Value::Bool(on) => u8::from(on).to_string(),
        other => other.to_string(),
    };
    let settings = fields.into_iter().filter(|(field, _)| is_setting(field));
    settings.map(|(field, text)| (field, value(text))).collect()
}

/// Returns the start of a line, for an error message.
fn short(line: &str) -> String {
    let start: String = line.chars().take(120).collect();
    if start.len() < line.len() { format!("{start}…") } else { start }
}

/// Detects an output format other than jsonl by its first line.
fn other_format(line: &str) -> Option<&'static str> {
    match line {
        "[" => Some("json"),
        _ if line.starts_with("build_commit,") => Some("csv"),
        _ if line.starts_with("| model ") => Some("md"),
        _ if line.starts_with("CREATE TABLE ") || line.starts_with("INSERT INTO ") => Some("sql"),
        _ => None,
    }
}

impl Output {
    #[cfg(test)]
    pub fn parse(stdout: &str) -> Self {
        let mut output = Self::default();
        for line in stdout.lines() {
            output.line(line);
        }
        output
    }

    fn problem(&mut self, code: &'static str, message: String, help: &str) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(Finding::error(code, message, help));
        }
    }

    /// Parses the next line, and returns its result if it has one.
    pub fn line(&mut self, line: &str) -> Option<&TestResult> {
        let line = line.trim();
        if self.results.is_empty() && self.format.is_none() {
            self.format = other_format(line);
        }
        if self.format.is_some() {
            return None;
        }
        if !line.starts_with('{') {
            if !line.is_empty() {
                self.other_line = Some(short(line));
            }
            return None;
        }
        self.bytes += line.len();
        if self.results.len() == MAX_RESULTS || self.bytes > MAX_BYTES {
            if self.problems.iter().all(|problem| problem.message != TOO_MANY) {
                let help = "measure fewer tests in one run";
                self.problems.insert(0, Finding::error("unreadable-output", TOO_MANY, help));
            }
            return None;
        }
        let numbers = without_nan(line);
        match serde_json::from_str::<Line>(&numbers) {
            Ok(parsed) => self.accept(parsed, settings(&numbers)),
            Err(error) if error.is_eof() => {
                self.problem(
                    "truncated-line",
                    format!("llama-bench's output ends in the middle of a line: {}", short(line)),
                    "it was killed, or the disk or the connection failed; run it again",
                );
                None
            }
            Err(error) => {
                self.problem(
                    "unreadable-output",
                    format!("cannot parse a line of llama-bench ({error}): {}", short(line)),
                    "this llama.cpp may print a new format; report it with this line",
                );
                None
            }
        }
    }

    fn accept(&mut self, line: Line, settings: BTreeMap<String, String>) -> Option<&TestResult> {
        let test = test_name(line.n_prompt, line.n_gen, line.n_depth);
        let samples = line.samples();
        let switches = || {
            let names = ["cuda", "vulkan", "metal", "sycl", "kompute", "blas"];
            let on = names.into_iter().filter(|name| settings.get(*name).is_some_and(|v| v == "1"));
            let on = on.collect::<Vec<_>>().join(",");
            if on.is_empty() { "CPU".to_owned() } else { on }
        };
        let backends = line.backends.unwrap_or_else(switches);
        self.about.get_or_insert_with(|| About {
            build_number: line.build_number,
            cpu: line.cpu_info.trim().to_owned(),
            gpu: Some(line.gpu_info.trim().to_owned()).filter(|gpu| !gpu.is_empty()),
            backends: backends.split(',').map(|name| name.trim().to_owned()).collect(),
            model_bytes: line.model_size,
            model_params: line.model_n_params,
            threads: line.n_threads,
        });
        let is_speed = |speed: &f64| *speed > 0.0 && *speed < IMPOSSIBLE;
        let samples = samples.filter(|samples| !samples.is_empty() && samples.iter().all(is_speed));
        let figures = || -> Result<_, &str> {
            let average = line.avg_ts.filter(is_speed).ok_or("avg_ts")?;
            let stddev = line.stddev_ts.filter(|stddev| *stddev >= 0.0).ok_or("stddev_ts")?;
            Ok((average, stddev, samples.ok_or("samples_ts")?))
        };
        match figures() {
            Ok((tokens_per_second, stddev, samples)) => {
                self.results.push(TestResult {
                    test,
                    tokens_per_second,
                    stddev,
                    samples,
                    settings,
                });
                self.results.last()
            }
            Err(field) => {
                self.problem(
                    "not-a-number",
                    format!("llama-bench's {field} of {test} is not a number"),
                    "the test was too short to measure: use more tokens",
                );
                None
            }
        }
    }
}

fn test_name(prompt: u32, generated: u32, depth: u32) -> String {
    let mut name = match (prompt, generated) {
        (prompt, 0) => format!("pp{prompt}"),
        (0, generated) => format!("tg{generated}"),
        (prompt, generated) => format!("pp{prompt}+tg{generated}"),
    };
    if depth > 0 {
        name.push_str(&format!(" @ d{depth}"));
    }
    name
}

/// Replaces `nan`, `-nan` and `inf`, which C++ prints but JSON does not allow, with `null`. Strings
/// are unchanged.
fn without_nan(line: &str) -> String {
    let mut clean = String::with_capacity(line.len());
    let mut in_string = false;
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        if !in_string {
            let word = ["-nan", "nan", "-inf", "inf"].iter().find(|word| rest.starts_with(**word));
            if let Some(word) = word {
                clean.push_str("null");
                rest = &rest[word.len()..];
                continue;
            }
        }
        if c == '"' {
            in_string = !in_string;
        }
        let mut taken = c.len_utf8();
        if in_string && c == '\\' {
            taken += rest[taken..].chars().next().map_or(0, char::len_utf8);
        }
        clean.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    clean
}

/// Returns the progress in a line of stderr, for example `1/2: prompt run 3/5` in test 1 of 2.
pub fn progress(line: &str) -> Option<&str> {
    line.strip_prefix("llama-bench: benchmark ").map(str::trim_end)
}

#[cfg(test)]
#[path = "llama_bench_tests.rs"]
mod tests;
