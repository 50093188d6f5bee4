//! Builds as they go: bars on a terminal, drawn by a thread of their own a few times a
//! second, whatever Nix prints; elsewhere a line at each start, phase, tenth and end, and
//! a heartbeat, so that a CI log neither floods nor falls silent.

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
use crate::nix::names::DrvPath;
use crate::ui::Ui;
use crate::ui::progress::{Block, Size, suspend};

pub use crate::build::view::report::print;

const REDRAW: Duration = Duration::from_millis(125);
const HEARTBEAT: Duration = Duration::from_secs(30);
/// Bytes for above the bars that may wait for the next drawing.
const WAITING: usize = 64 << 10;

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
    /// How many seconds pass in one: more than one when a recording is shown.
    speed: f64,
    progress: BuildProgress,
    face: Face,
    over: bool,
}

enum Face {
    Bars {
        block: Block,
        /// Text that waits for the next drawing, to be printed above the block.
        above: String,
        /// The second and the size of the last drawing; `None` when a build moved since.
        drawn: Option<(u64, Size)>,
    },
    Lines {
        last: Instant,
    },
}

impl Progress {
    pub fn start(ui: &Ui, builds: &[&Build], expected: BTreeMap<DrvPath, Expected>) -> Self {
        Self::at_speed(ui, builds, expected, 1.0)
    }

    pub fn at_speed(
        ui: &Ui,
        builds: &[&Build],
        expected: BTreeMap<DrvPath, Expected>,
        speed: f64,
    ) -> Self {
        let began = Instant::now();
        let face = if ui.bars {
            Face::Bars { block: Block::default(), above: String::new(), drawn: None }
        } else {
            Face::Lines { last: began }
        };
        let progress = BuildProgress::new(builds, expected);
        let state = State { ui: *ui, began, speed, progress, face, over: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), ended: Condvar::new() });
        let theirs = Arc::clone(&shared);
        let drawer = thread::Builder::new().name("drawing".into()).spawn(move || theirs.run()).ok();
        Self { shared, drawer }
    }

    /// `log` is where the whole log of a build is.
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
        self.shared.lock().clear();
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
        self.began.elapsed().as_secs_f64() * self.speed
    }

    fn apply(&mut self, update: &Update, log: Option<&Path>) {
        let now = self.now();
        self.progress.apply(update, now);
        if let Face::Bars { drawn, .. } = &mut self.face
            && !matches!(update, Update::Line { .. } | Update::Message { .. })
        {
            *drawn = None;
        }
        match update {
            Update::Failed { drv, tail } => self.failed(drv, tail, log, now),
            // Level 0 is an error. Nix repeats failures at its end, with the log's tail;
            // the report says them once, by variant.
            Update::Message { level: 1, text } => self.line(&format!("nix: {text}")),
            Update::Message { text, .. } if self.ui.verbose > 0 => self.detail(text),
            Update::Line { drv, line } if self.ui.verbose > 1 => {
                let name = self.name(drv);
                self.detail(&format!("{name}> {line}"));
            }
            _ if matches!(self.face, Face::Lines { .. }) => self.milestone(update, now),
            _ => {}
        }
    }

    fn name(&self, drv: &DrvPath) -> String {
        let row = self.progress.get(drv);
        row.map_or_else(|| short_name(drv.as_str()).to_owned(), |row| row.name.clone())
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

    /// What failed, for whom, and the end of its log: whole, in one piece, once.
    fn failed(&mut self, drv: &DrvPath, tail: &[String], log: Option<&Path>, now: f64) {
        let Some(row) = self.progress.get(drv) else { return };
        let whose = match row.is_variant() {
            true => format!(", for {}", row.wanted_by),
            false => self.needed_by(drv),
        };
        let on = row.on();
        let after = format!("after {}", clock(row.elapsed(now)));
        let group = format!("{} failed{on}{whose}", row.name);
        let title = format!("{} failed{on} {after}{whose}", row.name);
        let ui = self.ui;
        let mut lines: Vec<String> =
            tail.iter().map(|line| format!("  {} {}", ui.dim("│"), harmless(line))).collect();
        if let Some(log) = log {
            lines.push(format!("  {} {}", ui.dim("whole log:"), log.display()));
        }
        match &mut self.face {
            Face::Bars { above, .. } => {
                above.push_str(&format!("{}\n{}\n", ui.red(&title), lines.join("\n")));
            }
            Face::Lines { last, .. } => {
                *last = Instant::now();
                if ui.github {
                    ui.complain_at_length(&group, lines.into_iter());
                } else {
                    ui.complain(format!("{title}\n{}", lines.join("\n")));
                }
            }
        }
    }

    fn detail(&mut self, text: &str) {
        let text = harmless(text);
        match &mut self.face {
            Face::Bars { .. } => {
                let dim = self.ui.dim(&text);
                self.put_above(&dim);
            }
            Face::Lines { .. } => self.ui.detail(text),
        }
    }

    fn line(&mut self, text: &str) {
        let text = harmless(text);
        let now = self.now();
        match &mut self.face {
            Face::Bars { .. } => self.put_above(&text),
            Face::Lines { last, .. } => {
                *last = Instant::now();
                self.ui.say(format!("[{}] {text}", clock(now)));
            }
        }
    }

    fn put_above(&mut self, text: &str) {
        let Face::Bars { above, .. } = &mut self.face else { return };
        above.push_str(text);
        above.push('\n');
        if above.len() > WAITING {
            print_above(above);
        }
    }

    fn tick(&mut self) {
        let now = self.now();
        match &mut self.face {
            Face::Bars { block, above, drawn } => {
                print_above(above);
                let size = Size::of_stderr();
                let moment = Some((now as u64, size));
                if *drawn != moment {
                    *drawn = moment;
                    block.draw(rows::rows(&mut self.progress, now, size, &self.ui), size.columns);
                }
            }
            Face::Lines { last, .. } => {
                if last.elapsed() >= HEARTBEAT {
                    self.heartbeat(now);
                }
            }
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

    fn clear(&mut self) {
        if let Face::Bars { block, above, .. } = &mut self.face {
            print_above(above);
            *block = Block::default();
        }
    }
}

/// Prints and empties what waits.
fn print_above(text: &mut String) {
    if !text.is_empty() {
        suspend(|| {
            // A terminal that has gone is not an error of the build.
            let _ = std::io::stderr().write_all(text.as_bytes());
        });
        text.clear();
    }
}

/// Text of a build's: no command to any CI, and as wide as it looks.
fn harmless(text: &str) -> String {
    crate::ui::github::tame(&text.replace('\t', "    "))
}

#[cfg(test)]
mod tests;
