//! One evaluator: a Nix process that answers for several hosts, one after another.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use serde_json::Value;

use crate::check::batch::{self, Line};
use crate::fleet::names::HostName;
use crate::nix::flake::{Flake, SELECT, Unanswered};
use crate::nix::names::nix_string;
use crate::system::process::{self, Source};
use crate::ui::sanitize::sanitize;

const EACH: &str = include_str!("each.nix");
/// The lines kept of a host that prints without end.
const MOST_LINES: usize = 20_000;

/// What an evaluator may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For each host.
    pub timeout: Duration,
    pub memory: u64,
}

/// What became of a batch.
#[derive(Debug)]
pub struct Run {
    pub answers: BTreeMap<HostName, Answered>,
    /// The host that was being evaluated when the evaluator failed.
    pub during: Option<(HostName, Duration)>,
    /// Why it ended early, with its output since it began that host.
    pub failure: Option<Unanswered>,
}

#[derive(Debug)]
pub struct Answered {
    /// Or why it cannot be read.
    pub answer: Result<Value, String>,
    pub seconds: f64,
}

/// Evaluates the hosts in their order, and calls `done` with each that has an answer, and the answer.
///
/// # Errors
/// Nix cannot be started.
pub fn run(
    flake: &Flake,
    hosts: &[HostName],
    limits: Limits,
    done: &mut dyn FnMut(&HostName, &Answered),
) -> Result<Run> {
    let mark = mark();
    let names: Vec<String> = hosts.iter().map(|host| nix_string(host.as_str())).collect();
    let expression = format!(
        "({EACH}) {{ select = ({SELECT}); hosts = [ {} ]; mark = \"{mark}\"; }}",
        names.join(" ")
    );
    let call = flake
        .eval_call("nixosConfigurations", Some(&expression))
        // Plain lines, whatever nix.conf has.
        .args(["--log-format", "raw"])
        .memory(limits.memory);
    let (mut answers, mut output, mut lines) = (BTreeMap::new(), String::new(), 0);
    let mut turn: Option<(HostName, Instant)> = None;
    let exit = process::stream_paced(&call, Some(limits.timeout), &mut |source, line| {
        if source == Source::Stdout {
            return false;
        }
        let line = String::from_utf8_lossy(line);
        match batch::read(&line, &mark) {
            Line::Begin(host) => {
                turn = Some((host, Instant::now()));
                (output, lines) = (String::new(), 0);
                true
            }
            Line::Done(answer) => {
                // An unreadable answer is that of the current host.
                if let Some((host, began)) = turn.take() {
                    let answer = answer.and_then(|(name, answer)| match name == host {
                        true => Ok(answer),
                        false => Err(format!("the evaluator answered for another host, {name}")),
                    });
                    let answered = Answered { answer, seconds: began.elapsed().as_secs_f64() };
                    done(&host, &answered);
                    answers.insert(host, answered);
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
    let complete = exit.ok() && hosts.iter().all(|host| answers.contains_key(host));
    let failure =
        (!complete).then(|| Unanswered { exit, stderr: output, command: call.to_string() });
    Ok(Run { answers, during: turn.map(|(host, began)| (host, began.elapsed())), failure })
}

/// Unique to this call, so that no trace of the fleet is mistaken for ours.
fn mark() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("llamafleet-{}-{:x}", std::process::id(), now.as_nanos())
}
