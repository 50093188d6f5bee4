//! Speed held against budgets: ratios of medians, of what was measured side by side.

use serde::Serialize;

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
    /// The median of the subject over the median of its yardstick.
    pub value: f64,
    pub budget: f64,
    pub ok: bool,
    /// Each run, subject and yardstick: seconds, or bytes.
    pub samples: Vec<(f64, f64)>,
}

impl PerfReport {
    pub fn new(ratios: Vec<Ratio>) -> Self {
        let ok = !ratios.is_empty() && ratios.iter().all(|ratio| ratio.ok);
        Self { schema: 1, command: "perf", ratios, ok }
    }
}

impl Ratio {
    pub fn new(name: String, budget: f64, samples: Vec<(f64, f64)>) -> Self {
        let subject = median(samples.iter().map(|sample| sample.0));
        let yardstick = median(samples.iter().map(|sample| sample.1));
        let value = subject / yardstick;
        // What could not be measured is not a number, and not within a budget.
        Self { name, value, budget, ok: value <= budget, samples }
    }

    pub fn medians(&self) -> (f64, f64) {
        let of = |which: fn(&(f64, f64)) -> f64| median(self.samples.iter().map(which));
        (of(|sample| sample.0), of(|sample| sample.1))
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[odd / 2],
        even => f64::midpoint(values[even / 2 - 1], values[even / 2]),
    }
}

/// The hosts of a generated fleet: a few microarchitectures, as a real one has.
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

/// A host's module; another `edit` is another text.
pub fn module(microarch: &str, edit: usize) -> String {
    format!(
        "# {edit}\n{{\n  programs.llama-cpp = {{\n    enable = true;\n    microarch = \"{microarch}\";\n  }};\n  system.stateVersion = \"25.05\";\n}}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_of_medians_and_nothing_measured_is_not_ok() {
        let ratio = Ratio::new("x".into(), 1.5, vec![(3.0, 2.0), (90.0, 1.0), (2.0, 90.0)]);
        assert!((ratio.value - 1.5).abs() < 1e-9 && ratio.ok);
        assert!(!Ratio::new("x".into(), 1.5, vec![]).ok);
        assert!(!PerfReport::new(vec![]).ok);
    }
}
