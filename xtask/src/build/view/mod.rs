//! Builds while they run. On a terminal a thread draws bars a few times a second. Elsewhere
//! each start, phase, tenth and end is a line, and a heartbeat shows that the build goes on,
//! so that a CI log is neither flooded nor silent.

pub mod plan;
pub mod report;
pub mod rows;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::build::progress::{BuildProgress, Expected, Stage};
use crate::build::tracker::Update;
use crate::build::variants::{Build, short_name};
use crate::build::view::rows::clock;
use crate::build::{compile_error, log};
use crate::nix::names::DrvPath;
use crate::ui::progress::{Block, Size, suspend};
use crate::ui::sanitize::sanitize;
use crate::ui::{Ui, github};

const REDRAW: Duration = Duration::from_millis(125);
const HEARTBEAT: Duration = Duration::from_secs(30);

pub struct Progress {
    shared: Arc<Shared>,
    drawer: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    ended: Condvar,
}

struct State {
    ui: Ui,
    began: Instant,
    progress: BuildProgress,
    /// Text to print at the next tick, above the bars.
    text: String,
    /// When there last was some.
    spoke: Instant,
    bars: Block,
    /// The second and the size of the last drawing; `None` when a build moved since.
    drawn: Option<(u64, Size)>,
    over: bool,
}

impl Progress {
    pub fn start(ui: &Ui, builds: &[&Build], expected: BTreeMap<DrvPath, Expected>) -> Self {
        let began = Instant::now();
        let state = State {
            ui: *ui,
            began,
            progress: BuildProgress::new(builds, expected),
            text: String::new(),
            spoke: began,
            bars: Block::default(),
            drawn: None,
            over: false,
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), ended: Condvar::new() });
        let theirs = Arc::clone(&shared);
        let drawer = thread::Builder::new().name("drawing".into()).spawn(move || theirs.run()).ok();
        Self { shared, drawer }
    }

    /// `log` is the file of a build's full log.
    pub fn apply(&mut self, update: &Update, log: Option<&Path>) {
        self.shared.lock().apply(update, log);
    }

    pub fn learn(&mut self, more: BTreeMap<DrvPath, Expected>) {
        self.shared.lock().progress.learn(more);
    }

    /// Whether it is not known which variants need this derivation.
    pub fn is_unattributed(&self, drv: &DrvPath) -> bool {
        self.shared.lock().progress.is_unattributed(drv)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.shared.lock().over = true;
        self.shared.ended.notify_all();
        if let Some(drawer) = self.drawer.take() {
            let _ = drawer.join();
        }
        let mut state = self.shared.lock();
        state.print();
        state.bars = Block::default();
    }
}

impl Shared {
    /// A panic while drawing must not hide the one that matters.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut state = self.lock();
        while !state.over {
            state.tick();
            let waited = self.ended.wait_timeout(state, REDRAW);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl State {
    fn now(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    fn apply(&mut self, update: &Update, log: Option<&Path>) {
        let now = self.now();
        self.progress.apply(update, now);
        if !matches!(update, Update::Line { .. } | Update::Message { .. }) {
            self.drawn = None;
        }
        match update {
            Update::Failed { drv, tail } => self.failed(drv, tail, log, now),
            // Level 0 is an error. Nix repeats failures at its end, with the log's tail;
            // the report says them once, by variant.
            Update::Message { level: 1, text } => self.line(&format!("nix: {text}")),
            Update::Message { text, .. } if self.ui.verbose > 0 => self.detail(text),
            Update::Line { drv, line } if self.ui.verbose > 1 => {
                let row = self.progress.get(drv);
                let name = row.map_or_else(|| short_name(drv.as_str()), |row| &row.name);
                self.detail(&format!("{name}> {line}"));
            }
            _ if !self.ui.bars => self.milestone(update, now),
            _ => {}
        }
    }

    /// Where no bars are drawn: a line for what a person would want to have seen.
    fn milestone(&mut self, update: &Update, now: f64) {
        let drv = match update {
            Update::Substituting { path } => {
                return self.line(&format!("fetching {}", short_name(path.as_str())));
            }
            Update::Started { drv, .. } | Update::Stopped { drv } => drv,
            Update::Phase { drv, .. } | Update::Fraction { drv, .. } => drv,
            _ => return,
        };
        let needed_by = self.needed_by(drv);
        let Some(row) = self.progress.get_mut(drv) else { return };
        let text = match update {
            Update::Started { .. } => format!("building{}{needed_by}", row.on()),
            Update::Stopped { .. } => format!("ended after {}", clock(row.elapsed(now))),
            _ if !row.is_variant() => return,
            Update::Phase { .. } => row.phase.clone(),
            Update::Fraction { done, total, .. } => {
                let tenths = done * 10 / total;
                if tenths <= row.printed_tenths {
                    return;
                }
                row.printed_tenths = tenths;
                let left = row.remaining(now).filter(|left| *left >= 1.0);
                let left = left.map_or_else(String::new, |left| format!(", ~{} left", clock(left)));
                format!("{done}/{total} steps{left}")
            }
            _ => return,
        };
        let text = format!("{}: {text}", row.name);
        self.line(&text);
    }

    /// `, needed by cpu-znver4 (carbon)`: the variants that need a dependency, and their hosts.
    fn needed_by(&self, drv: &DrvPath) -> String {
        let Some(row) = self.progress.get(drv) else { return String::new() };
        let variants = self.progress.variants().enumerate();
        let names: Vec<String> = variants
            .filter(|(place, _)| row.needed_by().contains(place))
            .map(|(_, variant)| format!("{} ({})", variant.name, variant.wanted_by))
            .collect();
        if names.is_empty() { String::new() } else { format!(", needed by {}", names.join(", ")) }
    }

    /// What failed and for which hosts, its first error and the end of its log, in one piece.
    /// The first error of a parallel build is often not in the end of its log.
    fn failed(&mut self, drv: &DrvPath, tail: &[String], log: Option<&Path>, now: f64) {
        let Some(row) = self.progress.get(drv) else { return };
        let whose = match row.is_variant() {
            true => format!(", for {}", row.wanted_by),
            false => self.needed_by(drv),
        };
        let (name, on) = (&row.name, row.on());
        let ui = self.ui;
        let first = log.and_then(|log| compile_error::first(log::lines(log)));
        let first = first.filter(|first| !tail.iter().any(|line| line.trim() == first));
        let first =
            first.map(|line| format!("  {} {}\n", ui.dim("first error:"), printable(&line)));
        let tail = tail.iter().map(|line| format!("  {} {}\n", ui.dim("│"), printable(line)));
        let mut lines: Vec<String> = first.into_iter().chain(tail).collect();
        if let Some(log) = log {
            lines.push(format!("  {} {}\n", ui.dim("full log:"), log.display()));
        }
        let lines = lines.concat();
        self.text += &match ui.github {
            true => {
                let title = github::group(&format!("{name} failed{on}{whose}"));
                format!("{title}\n{lines}{}\n", github::END_GROUP)
            }
            false => {
                let title = format!("{name} failed{on} after {}{whose}", clock(row.elapsed(now)));
                format!("{}\n{lines}", ui.red(&title))
            }
        };
    }

    fn detail(&mut self, text: &str) {
        self.text += &(self.ui.dim(&printable(text)) + "\n");
    }

    fn line(&mut self, text: &str) {
        let text = printable(text);
        match self.ui {
            Ui { bars: true, .. } => self.text += &(text + "\n"),
            Ui { quiet: true, .. } => {}
            _ => self.text += &format!("[{}] {text}\n", clock(self.now())),
        }
    }

    /// Prints the text that waits, above the bars.
    fn print(&mut self) {
        if !self.text.is_empty() {
            self.spoke = Instant::now();
            // A terminal that has gone is not an error of the build.
            let _ = suspend(|| anstream::stderr().write_all(self.text.as_bytes()));
            self.text.clear();
        }
    }

    fn tick(&mut self) {
        self.print();
        let now = self.now();
        if !self.ui.bars {
            if self.spoke.elapsed() >= HEARTBEAT {
                self.heartbeat(now);
                self.print();
            }
            return;
        }
        let size = Size::of_stderr();
        let moment = Some((now as u64, size));
        if self.drawn != moment {
            self.drawn = moment;
            self.bars.draw(rows::rows(&mut self.progress, now, size, &self.ui), size.columns);
        }
    }

    fn heartbeat(&mut self, now: f64) {
        let running: Vec<String> = self
            .progress
            .variants()
            .filter(|row| row.stage == Stage::Running)
            .chain(self.progress.dependencies())
            .map(|row| match row.steps {
                Some((done, total)) => format!("{} {done}/{total}", row.name),
                None => format!("{} {}", row.name, row.phase).trim_end().to_owned(),
            })
            .collect();
        let at = self.progress.overall(now);
        let mut text = format!("{:.0}%, {} of {} done", at.fraction * 100.0, at.ended, at.all);
        if let Some((bytes, of)) = at.fetched {
            text.push_str(&format!(", fetched {}", rows::fetched(bytes, of)));
        }
        if !running.is_empty() {
            text.push_str(&format!("; still building: {}", running.join(", ")));
        }
        self.line(&text);
    }
}

/// A build's text without CI commands and tabs.
fn printable(text: &str) -> String {
    github::defuse(&sanitize(text).replace('\t', "    "))
}

#[cfg(test)]
mod replay_tests;
#[cfg(test)]
mod tests;
