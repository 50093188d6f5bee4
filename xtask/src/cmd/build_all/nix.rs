//! The one `nix build` over all derivations, followed event by event.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::Result;

use crate::cmd::build_all::Limits;
use crate::cmd::context::Context;
use crate::domain::build::{Build, Tracker, Update};
use crate::domain::names::DrvPath;
use crate::domain::nix_log;
use crate::sys::build_log::BuildLogs;
use crate::sys::process::{self, Source};
use crate::sys::store;
use crate::ui;

pub fn run(
    context: &Context,
    builds: &[&Build],
    limits: Limits,
    tracker: &mut Tracker,
    logs: &mut BuildLogs,
    seconds: &mut Stopwatch,
) -> Result<()> {
    let nix = &context.flake.nix;
    let mut call = nix
        .command(["build", "--no-link", "--keep-going", "--log-format", "internal-json"])
        .args(builds.iter().map(|build| build.drv.all_outputs()));
    for (option, value) in [
        ("--max-jobs", limits.max_jobs.map(u64::from)),
        ("--cores", limits.cores.map(u64::from)),
        ("--timeout", limits.timeout),
        ("--max-silent-time", limits.max_silent_time),
    ] {
        if let Some(value) = value {
            call = call.args([option.to_owned(), value.to_string()]);
        }
    }
    context.ui.detail(format!("$ {call}"));
    let mut progress = ui::build::Progress::start(&context.ui, builds);
    let mut trouble = None;
    let mut errors = vec![];
    process::stream(&call, None, &mut |source, line| {
        if source == Source::Stdout {
            return;
        }
        let Some(update) = tracker.feed(nix_log::parse(line)) else { return progress.tick() };
        let mut updates = vec![];
        match &update {
            Update::Line { drv, line } => updates.extend(tracker.fraction(drv, line)),
            Update::Message { level: 0, text } => {
                errors.push(text.clone());
                updates.extend(tracker.blame(text));
            }
            Update::OneEnded => {
                for build in builds.iter().filter(|build| store::appeared(&build.out)) {
                    updates.extend(tracker.end(&build.drv));
                }
            }
            _ => {}
        }
        updates.push(update);
        for update in updates {
            seconds.follow(&update);
            if let Err(error) = logs.follow(&update) {
                trouble.get_or_insert(error);
            }
            progress.apply(&update);
        }
        progress.tick();
    })?;
    progress.finish();
    if let Some(error) = trouble {
        // The builds themselves are safe in the store.
        context.ui.complain(format!("warning: the build logs are not whole: {error:#}"));
    }
    // A failure that no builder reported (a full disk, a lock, a refused daemon) would
    // otherwise be shown as a failed dependency without a word.
    logs.remember(&errors)?;
    if tracker.idle() {
        for error in &errors {
            context.ui.complain(format!("nix: {}", error));
        }
    }
    Ok(())
}

/// Wall-clock seconds of each derivation's build.
#[derive(Debug, Default)]
pub struct Stopwatch {
    spans: BTreeMap<DrvPath, (Instant, Option<Instant>)>,
}

impl Stopwatch {
    pub fn follow(&mut self, update: &Update) {
        match update {
            Update::Started { drv, .. } => {
                self.spans.entry(drv.clone()).or_insert((Instant::now(), None));
            }
            Update::Stopped { drv } => {
                if let Some((_, end)) = self.spans.get_mut(drv) {
                    *end = Some(Instant::now());
                }
            }
            _ => {}
        }
    }

    pub fn of(&self, drv: &DrvPath) -> f64 {
        self.spans.get(drv).map_or(0.0, |(start, end)| {
            end.unwrap_or_else(Instant::now).duration_since(*start).as_secs_f64()
        })
    }
}
