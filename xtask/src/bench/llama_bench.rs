//! What llama-bench says with `-o jsonl`: an object a line, one for each finished
//! test. Lines of other kinds are kept aside, and what came before a break is kept.
//!
//! Pure: no I/O, no clock.

use serde::{Deserialize, Serialize};

/// One test's speed, as the bench report carries it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TestResult {
    /// As llama-bench's own tables name it: `pp128`, `tg32`, `pp128+tg32`, `tg32 @ d512`.
    pub test: String,
    pub tokens_per_second: f64,
    pub stddev: f64,
    /// Tokens per second, one for each repetition.
    pub samples: Vec<f64>,
}

impl TestResult {
    /// Takes the samples of another process in: mean and standard deviation are then
    /// those of all samples, as llama-bench gives them of its own.
    pub fn add(&mut self, samples: &[f64]) {
        self.samples.extend(samples);
        let n = self.samples.len() as f64;
        let mean = self.samples.iter().sum::<f64>() / n;
        let squares: f64 = self.samples.iter().map(|sample| (sample - mean).powi(2)).sum();
        self.tokens_per_second = mean;
        self.stddev = if n > 1.0 { (squares / (n - 1.0)).sqrt() } else { 0.0 };
    }
}

/// What a line says besides its figures; the same on every line of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    pub build_commit: String,
    pub build_number: u64,
    pub cpu: String,
    /// Empty without a GPU.
    pub gpu: String,
    /// What is registered, which is not what ran.
    pub backends: Vec<String>,
    pub model: String,
    pub model_bytes: u64,
    pub model_params: u64,
    pub threads: u32,
}

/// A line that could not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// The line stops in the middle of its object: the program was ended.
    HalfLine(String),
    /// An object, but not of the kind that llama-bench prints.
    Unreadable { line: String, error: String },
    /// A speed that is no number (`nan`, `inf`), or none that a test can have (0, below 0).
    NotANumber { test: String, field: &'static str },
}

/// Everything that one run printed on stdout.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Output {
    pub results: Vec<TestResult>,
    pub about: Option<About>,
    /// Lines that are not JSON: warnings of drivers and the like.
    pub noise: Vec<String>,
    pub problems: Vec<Problem>,
}

/// The fields that are used, and therefore required. Others come and go.
#[derive(Deserialize)]
struct Line {
    build_commit: String,
    build_number: u64,
    cpu_info: String,
    gpu_info: String,
    backends: String,
    model_type: String,
    model_size: u64,
    model_n_params: u64,
    n_threads: u32,
    n_prompt: u32,
    n_gen: u32,
    #[serde(default)]
    n_depth: u32,
    avg_ts: Option<f64>,
    stddev_ts: Option<f64>,
    /// Tokens per second; where a later llama.cpp leaves them out, they follow from the
    /// times, in nanoseconds.
    samples_ts: Option<Vec<Option<f64>>>,
    samples_ns: Option<Vec<Option<f64>>>,
}

impl Line {
    /// None where a sample is no number; one sample, the mean, where none is told.
    fn samples(&self) -> Option<Vec<f64>> {
        let tokens = f64::from(self.n_prompt) + f64::from(self.n_gen);
        match (&self.samples_ts, &self.samples_ns) {
            (Some(samples), _) => samples.iter().copied().collect(),
            (None, Some(times)) => times.iter().map(|ns| Some(tokens * 1e9 / (*ns)?)).collect(),
            (None, None) => self.avg_ts.map(|average| vec![average]),
        }
    }
}

impl Output {
    /// A recording, whole.
    #[cfg(test)]
    pub fn parse(stdout: &str) -> Self {
        let mut output = Self::default();
        for line in stdout.lines() {
            output.line(line);
        }
        output
    }

    /// Takes the next line, and gives the result if it holds one.
    pub fn line(&mut self, line: &str) -> Option<&TestResult> {
        let line = line.trim();
        if !line.starts_with('{') {
            if !line.is_empty() {
                self.noise.push(line.to_owned());
            }
            return None;
        }
        match serde_json::from_str::<Line>(&without_nan(line)) {
            Ok(parsed) => self.accept(parsed),
            Err(error) => {
                self.problems.push(if error.is_eof() {
                    Problem::HalfLine(line.to_owned())
                } else {
                    Problem::Unreadable { line: line.to_owned(), error: error.to_string() }
                });
                None
            }
        }
    }

    fn accept(&mut self, line: Line) -> Option<&TestResult> {
        let test = test_name(line.n_prompt, line.n_gen, line.n_depth);
        let samples = line.samples();
        self.about.get_or_insert_with(|| About {
            build_commit: line.build_commit,
            build_number: line.build_number,
            cpu: line.cpu_info.trim().to_owned(),
            gpu: line.gpu_info.trim().to_owned(),
            backends: line.backends.split(',').map(|name| name.trim().to_owned()).collect(),
            model: line.model_type,
            model_bytes: line.model_size,
            model_params: line.model_n_params,
            threads: line.n_threads,
        });
        let is_speed = |speed: &f64| speed.is_finite() && *speed > 0.0;
        let samples = samples.filter(|samples| !samples.is_empty() && samples.iter().all(is_speed));
        let average = line.avg_ts.filter(is_speed);
        match (average, line.stddev_ts.filter(|stddev| *stddev >= 0.0), samples) {
            (Some(tokens_per_second), Some(stddev), Some(samples)) => {
                self.results.push(TestResult { test, tokens_per_second, stddev, samples });
                self.results.last()
            }
            (average, stddev, _) => {
                let field = match (average, stddev) {
                    (None, _) => "avg_ts",
                    (_, None) => "stddev_ts",
                    _ => "samples_ts",
                };
                self.problems.push(Problem::NotANumber { test, field });
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

/// llama-bench prints numbers as C++ does: `nan`, `-nan` and `inf` are not JSON.
/// They become `null`; strings are left alone.
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

/// How far a run with `--progress` is, from a line of its stderr.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Counted from 1.
    pub test: u32,
    pub tests: u32,
    /// `prompt run 3/5`
    pub doing: String,
}

/// Both eras: `llama-bench: benchmark 1/2: prompt run 3/5`.
pub fn progress(line: &str) -> Option<Progress> {
    let (counts, doing) = line.strip_prefix("llama-bench: benchmark ")?.split_once(": ")?;
    let (test, tests) = counts.split_once('/')?;
    Some(Progress {
        test: test.parse().ok()?,
        tests: tests.parse().ok()?,
        doing: doing.trim_end().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = include_str!("../../tests/fixtures/llama-bench/old.jsonl");
    const NEW: &str = include_str!("../../tests/fixtures/llama-bench/new.jsonl");

    #[test]
    fn both_eras_are_read() {
        for (era, recorded) in [("old", OLD), ("new", NEW)] {
            let output = Output::parse(recorded);
            assert_eq!(output.problems, [], "{era}");
            assert_eq!(output.noise, [] as [&str; 0], "{era}");
            let tests: Vec<_> = output.results.iter().map(|r| r.test.as_str()).collect();
            assert_eq!(tests, ["pp128", "tg32"], "{era}");
            for result in &output.results {
                assert_eq!(result.samples.len(), 5, "{era}");
                let mean = result.samples.iter().sum::<f64>() / 5.0;
                let off = (result.tokens_per_second / mean - 1.0).abs();
                assert!(off < 0.001, "{era}: {result:?}");
            }
            let about = output.about.unwrap();
            assert_eq!(about.model_params, 29_368_832, "{era}");
            assert_eq!(about.backends, ["CPU"], "{era}");
            assert_eq!(about.gpu, "", "{era}");
        }
    }

    #[test]
    fn warnings_among_the_lines_are_kept_aside() {
        let mixed = NEW.replace('\n', "\nggml_vulkan: warning: no device\n");
        let output = Output::parse(&mixed);
        assert_eq!(output.results.len(), 2);
        assert_eq!(output.noise, ["ggml_vulkan: warning: no device"; 2]);
        assert_eq!(output.problems, []);
    }

    #[test]
    fn half_a_line_loses_only_itself() {
        let whole = OLD.lines().next().unwrap().len();
        for cut in [1, 17, 200, 700] {
            let output = Output::parse(&OLD[..=whole + cut]);
            assert_eq!(output.results, Output::parse(OLD).results[..1], "{cut}");
            let half = OLD[whole + 1..=whole + cut].trim();
            assert_eq!(output.problems, [Problem::HalfLine(half.to_owned())], "{cut}");
        }
    }

    #[test]
    fn a_missing_field_is_named_with_its_line_and_an_unknown_one_is_welcome() {
        let line = NEW.lines().next().unwrap();
        let output = Output::parse(&line.replace("\"n_prompt\"", "\"n_prompts\""));
        let [Problem::Unreadable { error, .. }] = &output.problems[..] else {
            panic!("{output:?}")
        };
        assert!(error.contains("missing field `n_prompt`"), "{error}");
        let output = Output::parse(&line.replacen('{', r#"{"of_2027": [{"a": "nan"}], "#, 1));
        assert_eq!((output.results.len(), output.problems.len()), (1, 0));
    }

    #[test]
    fn what_is_no_number_is_no_result() {
        let line = NEW.lines().next().unwrap();
        let average = Output::parse(NEW).results[0].tokens_per_second;
        for word in ["nan", "-nan", "inf", "-inf"] {
            let spoilt =
                line.replace(&format!("\"avg_ts\": {average:.6}"), &format!("\"avg_ts\": {word}"));
            assert_ne!(spoilt, line);
            let output = Output::parse(&spoilt);
            assert_eq!(output.results, []);
            let problem = Problem::NotANumber { test: "pp128".into(), field: "avg_ts" };
            assert_eq!(output.problems, [problem]);
        }
        let spoilt = line.replace("\"samples_ts\": [ ", "\"samples_ts\": [ inf, ");
        let problem = Problem::NotANumber { test: "pp128".into(), field: "samples_ts" };
        assert_eq!(Output::parse(&spoilt).problems, [problem]);
    }

    /// A clock that went backwards, or that saw no time go by.
    #[test]
    fn what_no_test_can_have_is_no_result() {
        let line = NEW.lines().next().unwrap();
        for (from, to, field) in [
            ("\"samples_ts\": [ ", "\"samples_ts\": [ 0, ", "samples_ts"),
            ("\"samples_ts\": [ ", "\"samples_ts\": [ -3.5, ", "samples_ts"),
            ("\"samples_ts\": [ ", "\"samples_ts\": [ ], \"old\": [ ", "samples_ts"),
            ("\"avg_ts\": ", "\"avg_ts\": 0.0, \"old\": ", "avg_ts"),
            ("\"stddev_ts\": ", "\"stddev_ts\": -1, \"old\": ", "stddev_ts"),
        ] {
            let spoilt = line.replacen(from, to, 1);
            assert_ne!(spoilt, line);
            let output = Output::parse(&spoilt);
            assert_eq!(output.results, [], "{to}");
            let problem = Problem::NotANumber { test: "pp128".into(), field };
            assert_eq!(output.problems, [problem], "{to}");
        }
    }

    #[test]
    fn samples_that_are_not_told_follow_from_the_times() {
        let line = NEW.lines().next().unwrap();
        let told = Output::parse(line).results.remove(0);
        let times = line.replace("\"samples_ts\"", "\"old_ts\"");
        let reckoned = Output::parse(&times).results.remove(0);
        assert_eq!(reckoned.samples.len(), told.samples.len());
        for (one, other) in reckoned.samples.iter().zip(&told.samples) {
            assert!((one / other - 1.0).abs() < 1e-4, "{one} {other}");
        }
        let neither = times.replace("\"samples_ns\"", "\"old_ns\"");
        let [result] = &Output::parse(&neither).results[..] else { panic!() };
        assert_eq!(result.samples, [told.tokens_per_second]);
    }

    #[test]
    fn a_model_named_nan_is_only_a_name() {
        let text = r#"{"a": "nan \" inf", "b": nan, "c": [inf, 1]}"#;
        assert_eq!(without_nan(text), r#"{"a": "nan \" inf", "b": null, "c": [null, 1]}"#);
    }

    #[test]
    fn tests_are_named_as_llama_bench_names_them() {
        assert_eq!(test_name(128, 0, 0), "pp128");
        assert_eq!(test_name(0, 32, 512), "tg32 @ d512");
        assert_eq!(test_name(128, 32, 0), "pp128+tg32");
    }

    #[test]
    fn progress_is_read_from_both_eras() {
        for recorded in [
            include_str!("../../tests/fixtures/llama-bench/old.progress"),
            include_str!("../../tests/fixtures/llama-bench/new.progress"),
        ] {
            let seen: Vec<_> = recorded.lines().filter_map(progress).collect();
            assert_eq!(seen.len(), 14);
            let last = Progress { test: 2, tests: 2, doing: "generation run 5/5".into() };
            assert_eq!(seen[13], last);
        }
        assert_eq!(progress("llama_model_loader: loaded"), None);
    }
}
