//! What a run of `nix build` prints, line by line, to all who want to know: the tracker,
//! the logs, the clocks and the screen.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use crate::build::attempts::Ran;
use crate::build::command::Limits;
use crate::build::history;
use crate::build::log::BuildLogs;
use crate::build::progress::Expected;
use crate::build::remote_timeout::Patience;
use crate::build::tracker::{Tracker, Update};
use crate::build::variants::{Build, short_name};
use crate::build::view::Progress;
use crate::fleet::context::Context;
use crate::nix::derivation;
use crate::nix::log::{Event, Reader};
use crate::nix::names::{DrvPath, StorePath};
use crate::nix::program::Nix;
use crate::system::process;

/// How long a failure waits for who needs what failed.
const PATIENCE: Duration = Duration::from_secs(10);

pub struct Follower<'a> {
    nix: &'a Nix,
    context: &'a Context,
    variants: Vec<DrvPath>,
    tracker: &'a mut Tracker,
    logs: &'a mut BuildLogs,
    seconds: &'a mut Stopwatch,
    progress: Progress,
    reader: Reader,
    outputs: RefCell<BTreeMap<DrvPath, Vec<StorePath>>>,
    needs: Option<Receiver<BTreeMap<DrvPath, Expected>>>,
    asked: bool,
    patience: Patience,
    /// What Nix called errors.
    pub errors: Vec<String>,
}

impl<'a> Follower<'a> {
    pub fn start(
        context: &'a Context,
        builds: &[&Build],
        expected: BTreeMap<DrvPath, Expected>,
        limits: &Limits,
        ran: &'a mut Ran,
    ) -> Self {
        let Ran { tracker, logs, seconds, .. } = ran;
        Self {
            nix: &context.flake.nix,
            context,
            variants: builds.iter().map(|build| build.drv.clone()).collect(),
            tracker,
            logs,
            seconds,
            progress: Progress::start(&context.ui, builds, expected),
            reader: Reader::new(process::LONGEST_LINE),
            outputs: RefCell::default(),
            needs: None,
            asked: false,
            patience: Patience::new(limits),
            errors: vec![],
        }
    }

    /// One line of Nix's standard error.
    pub fn line(&mut self, line: &[u8]) {
        if let Some(event) = self.reader.read(line) {
            self.event(event);
        }
    }

    fn event(&mut self, event: Event) {
        let outputs = &self.outputs;
        let there = |drv: &DrvPath| {
            let mut outputs = outputs.borrow_mut();
            let known = outputs.entry(drv.clone()).or_insert_with(|| derivation::outputs(drv));
            derivation::is_built(known)
        };
        let machine = match &event {
            Event::BuildStarted { drv, .. } => self.tracker.machine_at_work(drv),
            _ => None,
        };
        self.patience.hear(&event, machine);
        for update in self.tracker.follow(event, &there) {
            self.seconds.follow(&update);
            self.logs.follow(&update);
            self.patience.follow(&update);
            match &update {
                Update::Message { level: 0, text } => self.errors.push(text.clone()),
                Update::Started { drv, .. } => self.ask(drv),
                Update::Failed { drv, .. } if self.progress.is_unattributed(drv) => {
                    self.learn(PATIENCE)
                }
                _ => {}
            }
            self.learn(Duration::ZERO);
            let log = match &update {
                Update::Failed { drv, .. } => self.logs.file(drv),
                _ => None,
            };
            self.progress.apply(&update, log);
        }
    }

    /// A build that has had its time on another machine, and what became of it.
    pub fn exhausted(&self) -> Option<(DrvPath, String)> {
        self.patience.exhausted()
    }

    /// Who needs a derivation is asked when the first begins that is no variant: most runs
    /// have none.
    fn ask(&mut self, drv: &DrvPath) {
        if self.asked || self.variants.contains(drv) {
            return;
        }
        self.asked = true;
        let (sender, receiver) = mpsc::channel();
        let (nix, roots, home) =
            (self.nix.clone(), self.variants.clone(), self.context.home.clone());
        let asking = thread::Builder::new().name("needs".into()).spawn(move || {
            let needed_by = derivation::needed_by(&nix, &roots).unwrap_or_default();
            let history = history::read(&home);
            let expected = needed_by.into_iter().map(|(drv, needed_by)| {
                let seconds = history.seconds(short_name(drv.as_str()), "");
                (drv, Expected { seconds, needed_by: Some(needed_by) })
            });
            let _ = sender.send(expected.collect());
        });
        self.needs = asking.is_ok().then_some(receiver);
    }

    fn learn(&mut self, patience: Duration) {
        let Some(needs) = &self.needs else { return };
        if let Ok(expected) = needs.recv_timeout(patience) {
            self.progress.learn(expected);
            self.needs = None;
        }
    }

    /// Clears the screen, and answers what Nix called errors.
    pub fn finish(mut self) -> Vec<String> {
        if let Some(event) = self.reader.finish() {
            self.event(event);
        }
        self.progress.finish();
        self.errors
    }
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
                // Of more than one attempt, the last counts.
                self.spans.insert(drv.clone(), (Instant::now(), None));
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
