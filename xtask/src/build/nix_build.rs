//! Runs one `nix build` of all derivations, and passes each line of its log to the tracker, the
//! logs on disk and the progress display.

use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use anyhow::Result;

use crate::build::args::Limits;
use crate::build::derivations::Expected;
use crate::build::history;
use crate::build::run_state::{RunState, SharedRun};
use crate::build::tracker::{Process, Update};
use crate::build::variants::{Build, short_name};
use crate::fleet::context::Context;
use crate::nix::log::{Event, Reader};
use crate::nix::names::DrvPath;
use crate::nix::{builders, derivation};
use crate::system::process::{Exit, Heard, LONGEST_LINE, Source, Then, watch};
use crate::system::{interrupt, orphans};

/// Maximum time that a failure is not printed until it is known which variants need the failed
/// derivation.
const ATTRIBUTION: Duration = Duration::from_secs(10);

/// How one run of Nix ended.
pub struct Ended {
    /// Nix's error messages.
    pub errors: Vec<String>,
    /// Whether Nix was stopped because a build took too long on its builder.
    pub timed_out: bool,
    /// Whether Nix exited with a status: it was neither interrupted nor killed.
    pub with_status: bool,
}

pub fn run(
    context: &Context,
    builds: &[&Build],
    limits: &Limits,
    run: &SharedRun,
    process: &mut Process,
) -> Result<Ended> {
    let (name, ssh_options) = builders::ssh_options();
    let mut call = context
        .flake
        .nix
        .command(["build", "--no-link", "--keep-going", "--log-format", "internal-json"])
        .args(builds.iter().map(|build| build.drv.all_outputs()))
        .env(name, ssh_options)
        .ends_with_us();
    for (option, value) in [
        ("--max-jobs", limits.jobs.map(u64::from)),
        ("--cores", limits.cores.map(u64::from)),
        ("--timeout", limits.timeout),
        ("--max-silent-time", limits.max_silent_time),
    ] {
        if let Some(value) = value {
            call = call.args([option.to_owned(), value.to_string()]);
        }
    }
    run.with(process, &mut |state| {
        state.begin(&context.ui);
        state.tracker.begin(builds);
    });
    let mut follower = Follower { context, dependents: None, errors: vec![] };
    let mut reader = Reader::new(LONGEST_LINE);
    let mut timed_out = None;
    let exit = watch(&call, None, &mut |heard| {
        let mut event = match heard {
            Heard::Line(Source::Stderr, line) | Heard::Part(Source::Stderr, line) => {
                reader.read(line)
            }
            _ => None,
        };
        run.with(process, &mut |state| {
            if let Some(event) = event.take() {
                follower.follow(state, event);
            }
            let now = state.now();
            if let Some(progress) = &mut state.progress {
                progress.tick(&mut state.tracker.derivations, now);
            }
            let tracker = state.tracker.at(now);
            timed_out = timed_out
                .take()
                .or_else(|| tracker.timed_out(limits.timeout, limits.max_silent_time));
        });
        if timed_out.is_some() || run.is_cancelled() { Then::End } else { Then::GoOn }
    });
    run.with(process, &mut |state| {
        if let Some(event) = reader.finish() {
            follower.follow(state, event);
        }
        state.end();
    });
    let (exit, mut errors) = (exit?, follower.errors);
    let with_status = matches!(exit, Exit::Code(_));
    if !with_status {
        // Nix had no time to end its child processes.
        orphans::end();
    }
    if let Exit::Signal(_) = exit {
        errors.push(format!("Nix itself was {exit} while it built"));
    }
    // A failure outside of a build (a full disk, a lock, the daemon's refusal) is in no build's log.
    let mut state = run.lock();
    state.logs.write_nix_errors(&errors);
    if !state.tracker.derivations.iter().any(|(_, row)| row.started) {
        errors.iter().for_each(|error| context.ui.warn(format!("nix: {error}")));
    }
    let timed_out = timed_out.filter(|_| exit == Exit::GivenUp);
    if let Some((drv, why)) = &timed_out {
        let attempts = state.attempts(drv);
        (attempts.failed, attempts.timed_out) = (true, Some(why.clone()));
    }
    Ok(Ended { errors, timed_out: timed_out.is_some(), with_status })
}

struct Follower<'a> {
    context: &'a Context,
    /// The variants that need each dependency. Requested when the first dependency begins, because
    /// most runs build none.
    dependents: Option<Receiver<Vec<(DrvPath, Expected)>>>,
    errors: Vec<String>,
}

impl Follower<'_> {
    fn follow(&mut self, state: &mut RunState, event: Event) {
        let now = state.now();
        for update in state.tracker.at(now).follow(event, &derivation::is_built) {
            state.logs.follow(&update);
            match &update {
                Update::Message { level: 0, text } => self.errors.push(text.clone()),
                Update::Started { drv, .. } => self.request_dependents(state, drv),
                Update::Failed { drv, .. } => {
                    let stopped = interrupt::requested();
                    state.attempts(drv).failed = !stopped;
                    if state.tracker.derivations.is_unattributed(drv) {
                        self.receive_dependents(state, ATTRIBUTION);
                    }
                }
                _ => {}
            }
            self.receive_dependents(state, Duration::ZERO);
            let log = match &update {
                Update::Failed { drv, .. } => state.logs.file(drv),
                _ => None,
            };
            if let Some(progress) = &mut state.progress {
                progress.apply(&update, &mut state.tracker.derivations, now, log);
            }
        }
    }

    fn request_dependents(&mut self, state: &RunState, drv: &DrvPath) {
        let variants = state.tracker.derivations.variant_drvs();
        if self.dependents.is_some() || variants.contains(drv) {
            return;
        }
        let (sender, receiver) = mpsc::channel();
        let nix = self.context.flake.nix.clone();
        let (variants, home) = (variants.to_vec(), self.context.home.clone());
        // If the thread cannot start, the sender is dropped, and nothing is received.
        let _ = thread::Builder::new().name("dependents".into()).spawn(move || {
            let needed_by = derivation::needed_by(&nix, &variants).unwrap_or_default();
            let history = history::read(&home);
            let expected = needed_by.into_iter().map(|(drv, needed_by)| {
                let seconds = history.seconds(short_name(drv.as_str()), "");
                (drv, Expected { seconds, needed_by: Some(needed_by) })
            });
            let _ = sender.send(expected.collect());
        });
        self.dependents = Some(receiver);
    }

    fn receive_dependents(&mut self, state: &mut RunState, timeout: Duration) {
        let Some(receiver) = &self.dependents else { return };
        // This fails immediately after the first result.
        if let Ok(expected) = receiver.recv_timeout(timeout) {
            state.tracker.derivations.add_expected(expected);
        }
    }
}
