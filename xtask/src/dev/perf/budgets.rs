//! Compares speed with budgets: ratios of medians that were measured in turns.
//!
//! Pure: no I/O, no clock.

use serde::Serialize;

use crate::nix::names::nix_list;
use crate::statistics;

#[derive(Debug, Serialize)]
pub struct PerfReport {
    pub schema: u32,
    pub command: &'static str,
    pub ratios: Vec<Ratio>,
    pub ok: bool,
}

#[derive(Debug, Serialize)]
pub struct Ratio {
    pub name: String,
    /// The median of the subject over the median of its reference.
    pub value: f64,
    pub budget: f64,
    pub ok: bool,
    /// The runs of subject and reference: seconds, bytes, or tokens per second.
    pub samples: Vec<(f64, f64)>,
    /// For speeds: the 99 % confidence interval. The budget is then a minimum; 0 is no budget.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<[f64; 2]>,
    /// For speeds: the ratio of the medians of all samples.
    #[serde(rename = "ofMedians", skip_serializing_if = "Option::is_none")]
    pub of_medians: Option<f64>,
}

impl PerfReport {
    pub fn new(ratios: Vec<Ratio>) -> Self {
        let ok = !ratios.is_empty() && ratios.iter().all(|ratio| ratio.ok);
        Self { schema: 1, command: "perf", ratios, ok }
    }
}

impl Ratio {
    pub fn new(name: String, budget: f64, samples: Vec<(f64, f64)>) -> Self {
        let (subject, reference) = medians(&samples);
        let value = subject / reference;
        // Without measurements the value is NaN, which is not within the budget.
        let ok = value <= budget;
        Self { name, value, budget, ok, samples, interval: None, of_medians: None }
    }

    /// Creates a ratio of speeds, whose budget is a minimum, with the estimate of `statistics`.
    pub fn at_least(
        name: String,
        budget: f64,
        ratio: &statistics::Ratio,
        samples: Vec<(f64, f64)>,
    ) -> Self {
        let interval = Some([ratio.low, ratio.high]);
        let (subject, reference) = medians(&samples);
        let of_medians = Some(subject / reference);
        let (value, ok) = (ratio.estimate, ratio.estimate >= budget);
        Self { name, value, budget, ok, samples, interval, of_medians }
    }

    pub fn medians(&self) -> (f64, f64) {
        medians(&self.samples)
    }
}

/// The length of a generated build, and the work of its steps.
#[derive(Debug, Clone, Copy)]
pub struct Length {
    pub steps: u32,
    /// Log lines per step.
    pub lines: u32,
    pub step: Step,
}

/// The work of a step of a generated build, in addition to printing.
#[derive(Debug, Clone, Copy)]
pub enum Step {
    /// Counts to this number: about 25 ms on a core of 2025.
    Compute(u32),
    /// Sleeps, so that the build does not compete for the CPU.
    Wait { milliseconds: u32 },
}

impl Step {
    /// Returns the script for /bin/sh.
    pub fn script(self) -> String {
        match self {
            Self::Compute(count) => {
                format!("n=0; while [ $n -lt {count} ]; do n=$((n + 1)); done")
            }
            Self::Wait { milliseconds } => {
                format!("sleep {}.{:03}", milliseconds / 1000, milliseconds % 1000)
            }
        }
    }
}

/// Lines and seconds of the build with the longest log: a full AVX-512 build of llama.cpp, whose
/// intrinsics gcc quotes in each warning. The rate is higher than that of any real build: the lines
/// are those of the whole build, but the seconds those of llama-bench alone on two idle cores.
pub const LONGEST_LOG: (u32, f64) = (30_000, 144.0);

/// Returns a build that prints this number of lines at the rate of [`LONGEST_LOG`], in ten bursts
/// per second.
pub fn stream(lines: u32) -> Length {
    let (longest, seconds) = LONGEST_LOG;
    let per_second = f64::from(longest) / seconds;
    let burst = (per_second / 10.0).round() as u32;
    Length {
        steps: (lines / burst).max(1),
        lines: burst,
        step: Step::Wait { milliseconds: (f64::from(burst) / per_second * 1000.0) as u32 },
    }
}

/// Returns the medians of subject and reference; NaN without measurements.
fn medians(samples: &[(f64, f64)]) -> (f64, f64) {
    let (subject, reference): (Vec<f64>, Vec<f64>) = samples.iter().copied().unzip();
    let median = |values| statistics::median(values).unwrap_or(f64::NAN);
    (median(subject), median(reference))
}

/// Returns the hosts of a generated fleet with their microarchitectures, a few like in a real one.
pub fn hosts(count: usize) -> Vec<(String, &'static str)> {
    const MICROARCHS: [&str; 8] = [
        "znver4",
        "haswell",
        "tigerlake",
        "skylake",
        "x86-64-v3",
        "znver2",
        "icelake-client",
        "alderlake",
    ];
    (0..count).map(|n| (format!("h{n:03}"), MICROARCHS[n % MICROARCHS.len()])).collect()
}

/// Returns a host's module with extra CMake flags.
pub fn module_with(microarch: &str, flags: &[String]) -> String {
    let flags = format!("    extraCmakeFlags = {};\n  }};\n", nix_list(flags));
    module(microarch, 0).replacen("  };\n", &flags, 1)
}

/// Returns a host's module, which differs for each `edit`.
pub fn module(microarch: &str, edit: usize) -> String {
    format!(
        "# {edit}\n{{\n  programs.llama-cpp = {{\n    enable = true;\n    microarch = \"{microarch}\";\n  }};\n  system.stateVersion = \"25.05\";\n}}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_of_medians_and_not_ok_without_measurements() {
        let ratio = Ratio::new("x".into(), 1.5, vec![(3.0, 2.0), (90.0, 1.0), (2.0, 90.0)]);
        assert!((ratio.value - 1.5).abs() < 1e-9 && ratio.ok);
        assert!(!Ratio::new("x".into(), 1.5, vec![]).ok);
        assert!(!PerfReport::new(vec![]).ok);
    }

    #[test]
    fn a_stream_has_the_rate_of_the_longest_log() {
        let length = stream(30_000);
        let Step::Wait { milliseconds } = length.step else { panic!("a stream waits") };
        let seconds = f64::from(length.steps * milliseconds) / 1000.0;
        let lines = f64::from(length.steps * length.lines);
        assert!((lines - 30_000.0).abs() < 50.0, "{lines}");
        assert!((seconds - 144.0).abs() < 2.0, "{seconds}");
        assert_eq!(Step::Wait { milliseconds: 1025 }.script(), "sleep 1.025");
    }

    #[test]
    fn flags_become_extra_cmake_flags_of_the_module() {
        let module = module_with("haswell", &["-DA=\"b\"".to_owned()]);
        let body = "microarch = \"haswell\";\n    extraCmakeFlags = [ \"-DA=\\\"b\\\"\" ];\n  };\n";
        assert!(module.contains(body), "{module}");
    }
}
