//! One evaluator: a Nix process that evaluates several hosts, one after another.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use serde_json::Value;

use crate::check::batch::{self, Line};
use crate::fleet::names::HostName;
use crate::nix::flake::{EvalFailure, Flake, SELECT};
use crate::nix::names::nix_list;
use crate::system::process::{self, Source};
use crate::ui::sanitize::sanitize;

const EACH: &str = include_str!("each.nix");
/// Maximum number of lines to keep of a host's output.
const MOST_LINES: usize = 20_000;

/// The result of a batch.
#[derive(Debug)]
pub struct BatchResult {
    pub results: BTreeMap<HostName, TimedResult>,
    /// The host that was being evaluated when the evaluator failed, and for how long.
    pub during: Option<(HostName, Duration)>,
    /// Why the evaluator ended early, with its output since it began that host.
    pub failure: Option<EvalFailure>,
}

/// One host's result.
#[derive(Debug)]
pub struct TimedResult {
    /// The result as JSON, or why it cannot be parsed.
    pub result: Result<Value, String>,
    pub seconds: f64,
}

/// Evaluates the hosts in order, and calls `done` with each result. `timeout` is per host;
/// `memory` is the evaluator's limit in bytes.
///
/// # Errors
/// Nix cannot be started.
pub fn run(
    flake: &Flake,
    hosts: &[HostName],
    timeout: Duration,
    memory: u64,
    done: &mut dyn FnMut(&HostName, &TimedResult),
) -> Result<BatchResult> {
    let mark = mark();
    let names = nix_list(hosts.iter().map(HostName::as_str));
    let expression =
        format!("({EACH}) {{ select = ({SELECT}); hosts = {names}; mark = \"{mark}\"; }}");
    let call = flake
        .eval_call("nixosConfigurations", Some(&expression))
        // nix.conf may set another format.
        .args(["--log-format", "raw"])
        .memory(memory);
    let (mut results, mut output, mut lines) = (BTreeMap::new(), String::new(), 0);
    let mut current: Option<(HostName, Instant)> = None;
    let exit = process::stream_paced(&call, Some(timeout), &mut |source, line| {
        if source == Source::Stdout {
            return false;
        }
        let line = String::from_utf8_lossy(line);
        match batch::read(&line, &mark) {
            Line::Begin(host) => {
                current = Some((host, Instant::now()));
                (output, lines) = (String::new(), 0);
                true
            }
            Line::Done(result) => {
                // A result that cannot be parsed is the current host's.
                if let Some((host, began)) = current.take() {
                    let result = result.and_then(|(name, result)| match name == host {
                        true => Ok(result),
                        false => Err(format!("the evaluator answered for another host, {name}")),
                    });
                    let timed = TimedResult { result, seconds: began.elapsed().as_secs_f64() };
                    done(&host, &timed);
                    results.insert(host, timed);
                }
                true
            }
            Line::Other => {
                lines += 1;
                if lines <= MOST_LINES {
                    output.push_str(&sanitize(line));
                    output.push('\n');
                }
                false
            }
        }
    })?;
    let complete = exit.ok() && hosts.iter().all(|host| results.contains_key(host));
    let failure =
        (!complete).then(|| EvalFailure { exit, stderr: output, command: call.to_string() });
    let during = current.map(|(host, began)| (host, began.elapsed()));
    Ok(BatchResult { results, during, failure })
}

/// Returns a prefix for traces that no trace of the fleet begins with.
fn mark() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("llamafleet-{}-{:x}", std::process::id(), now.as_nanos())
}
