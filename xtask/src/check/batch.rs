//! Distributes hosts over evaluators, and parses an evaluator's output lines.
//!
//! Pure: no I/O, no clock.

use serde::Deserialize;
use serde_json::Value;

use crate::fleet::names::HostName;

/// Maximum number of hosts in one process. More hosts only need more memory: starting another
/// process takes less time than two hosts do.
const MAX_BATCH: usize = 32;

/// Memory that an evaluator needs with a real nixpkgs before its first host is done, in bytes.
const LEAST_MEMORY: u64 = 1 << 30;

/// What evaluators may use of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EvalLimits {
    /// Maximum number of parallel evaluators.
    pub jobs: usize,
    /// Memory limit of all of them together, in bytes.
    pub memory: u64,
}

impl EvalLimits {
    /// Returns the user's limits; by default the number of cores, and four fifths of the free
    /// memory.
    pub fn new(jobs: Option<usize>, memory: Option<u64>, cores: usize, free: Option<u64>) -> Self {
        let memory = memory.unwrap_or_else(|| free.map_or(u64::MAX, |free| free / 5 * 4));
        let fit = usize::try_from(memory / LEAST_MEMORY).unwrap_or(usize::MAX);
        Self { jobs: jobs.unwrap_or_else(|| cores.min(fit)).max(1), memory }
    }

    /// Returns the memory limit of one evaluator. A sixteenth is reserved for xtask itself, and
    /// for what an evaluator grows by between two measurements.
    pub fn share(&self) -> u64 {
        (self.memory - self.memory / 16) / self.jobs as u64
    }
}

/// Splits the hosts into batches of nearly equal size. Their number is a multiple of the number
/// of evaluators if there are enough hosts, so that no evaluator is idle while the last one works.
pub fn split(hosts: &[HostName], jobs: usize) -> Vec<Vec<HostName>> {
    if hosts.is_empty() {
        return vec![];
    }
    let batches = hosts.len().div_ceil(jobs * MAX_BATCH) * jobs.min(hosts.len());
    let (size, longer) = (hosts.len() / batches, hosts.len() % batches);
    let mut rest = hosts;
    (0..batches)
        .map(|nth| {
            let (batch, left) = rest.split_at(size + usize::from(nth < longer));
            rest = left;
            batch.to_vec()
        })
        .filter(|batch| !batch.is_empty())
        .collect()
}

/// A line of an evaluator's standard error.
#[derive(Debug, PartialEq)]
pub enum Line {
    Begin(HostName),
    /// The host's result, or why it cannot be parsed.
    Done(Result<(HostName, Value), String>),
    Other,
}

#[derive(Deserialize)]
struct Done {
    host: HostName,
    result: Value,
}

/// Parses a line. `mark` is unique to this run: no other trace begins with it.
pub fn read(line: &str, mark: &str) -> Line {
    let Some(text) = line.strip_prefix("trace: ").and_then(|text| text.strip_prefix(mark)) else {
        return Line::Other;
    };
    match text.trim_start().split_once(' ') {
        Some(("begin", name)) => match serde_json::from_str(name) {
            Ok::<String, _>(name) => Line::Begin(HostName::new(name)),
            Err(error) => Line::Done(Err(format!("unreadable host name: {error}"))),
        },
        Some(("done", json)) => Line::Done(
            serde_json::from_str::<Done>(json)
                .map(|done| (done.host, done.result))
                .map_err(|error| format!("unexpected evaluator output: {error}")),
        ),
        _ => Line::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(count: usize) -> Vec<HostName> {
        (0..count).map(|n| HostName::new(format!("h{n}"))).collect()
    }

    #[test]
    fn every_host_is_in_one_batch() {
        for (count, jobs) in [(1, 8), (4, 2), (32, 2), (33, 2), (128, 2), (65, 1), (3, 7)] {
            let batches = split(&hosts(count), jobs);
            assert_eq!(batches.concat(), hosts(count), "{count} on {jobs}");
            assert!(batches.iter().all(|batch| !batch.is_empty() && batch.len() <= MAX_BATCH));
        }
        assert_eq!(split(&hosts(32), 2).len(), 2);
        assert_eq!(split(&[], 2), Vec::<Vec<HostName>>::new());
    }

    #[test]
    fn memory_limits_the_number_of_evaluators() {
        let gib = 1 << 30;
        assert_eq!(EvalLimits::new(None, None, 16, Some(5 * gib)).jobs, 4);
        assert_eq!(EvalLimits::new(None, Some(gib / 2), 16, None).jobs, 1);
        assert_eq!(EvalLimits::new(Some(3), Some(gib), 16, None).share(), gib / 16 * 15 / 3);
    }

    #[test]
    fn only_lines_with_the_mark_are_parsed() {
        assert_eq!(read("trace: m-1 begin \"a\"", "m-1"), Line::Begin(HostName::new("a")));
        assert_eq!(read("trace: m-2 begin \"a\"", "m-1"), Line::Other);
        let none = Line::Done(Ok((HostName::new("a"), Value::Null)));
        assert_eq!(read(r#"trace: m-1 done {"result":null,"host":"a"}"#, "m-1"), none);
        assert!(matches!(read(r#"trace: m-1 done {"result":{"manif"#, "m-1"), Line::Done(Err(_))));
    }
}
