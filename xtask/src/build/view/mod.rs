//! Shows the progress of builds. A terminal has bars, which are drawn a few times a second.
//! Otherwise each start, phase, tenth of the steps and end is a line, and a heartbeat shows that
//! the build continues, so that a CI log is neither flooded nor silent.

pub mod rows;
pub mod tables;

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::build::derivations::{Derivations, Stage};
use crate::build::tracker::Update;
use crate::build::variants::short_name;
use crate::build::view::rows::clock;
use crate::build::{compile_error, log};
use crate::nix::names::DrvPath;
use crate::system::interrupt;
use crate::ui::links::Links;
use crate::ui::progress::{Block, Size, suspend};
use crate::ui::sanitize::sanitize;
use crate::ui::{Ui, github};

const REDRAW: Duration = Duration::from_millis(125);
const HEARTBEAT: Duration = Duration::from_secs(30);

pub struct Progress {
    ui: Ui,
    /// Text to print at the next tick, above the bars.
    text: String,
    /// When text was last printed.
    printed: Instant,
    ticked: Instant,
    bars: Block,
    /// The half second and the size of the last drawing; `None` if a build has changed since. If
    /// bars were drawn once a second, the clock of a build that began between two seconds would
    /// skip a second.
    drawn: Option<(u64, Size)>,
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.print();
    }
}

impl Progress {
    pub fn new(ui: &Ui) -> Self {
        let (printed, ticked) = (Instant::now(), Instant::now());
        Self { ui: *ui, text: String::new(), printed, ticked, bars: Block::empty(), drawn: None }
    }

    /// Shows an update. `log` is the file of a failed build's full log.
    pub fn apply(&mut self, update: &Update, rows: &mut Derivations, now: f64, log: Option<&Path>) {
        if !matches!(update, Update::Line { .. } | Update::Message { .. }) {
            self.drawn = None;
        }
        match update {
            Update::Failed { drv, tail } => self.failed(rows, drv, tail, log, now),
            // Errors have level 0. Nix repeats failures with the end of the log when it exits; the
            // report has each once, by variant.
            Update::Message { level: 1, text } => self.line(&format!("nix: {text}"), now),
            Update::Message { text, .. } if self.ui.verbose > 0 => self.detail(text),
            Update::Line { drv, line } if self.ui.verbose > 1 => {
                let row = rows.get(drv);
                let name = row.map_or_else(|| short_name(drv.as_str()), |row| &row.name);
                self.detail(&format!("{name}> {line}"));
            }
            _ if !self.ui.bars => self.milestone(update, rows, now),
            _ => {}
        }
    }

    /// Prints a line about an important change, if no bars are drawn.
    fn milestone(&mut self, update: &Update, rows: &mut Derivations, now: f64) {
        let drv = match update {
            Update::Substituting { path } => {
                return self.line(&format!("fetching {}", short_name(path.as_str())), now);
            }
            Update::Started { drv, .. } | Update::Stopped { drv } => drv,
            Update::Phase { drv, .. } | Update::Fraction { drv, .. } => drv,
            _ => return,
        };
        let needed_by = needed_by(rows, drv);
        let Some(row) = rows.get_mut(drv) else { return };
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
        self.line(&text, now);
    }

    /// Prints a failure with its hosts, its first error and the end of its log. The end of a
    /// parallel build's log often does not contain the first error.
    fn failed(
        &mut self,
        rows: &Derivations,
        drv: &DrvPath,
        tail: &[String],
        log: Option<&Path>,
        now: f64,
    ) {
        let Some(row) = rows.get(drv) else { return };
        // Ctrl-C makes builds fail. With --quiet, only the report is printed.
        if interrupt::requested() || self.ui.quiet {
            return;
        }
        let needed_by = match row.is_variant() {
            true => format!(", for {}", row.wanted_by),
            false => needed_by(rows, drv),
        };
        let (name, on) = (&row.name, row.on());
        let ui = self.ui;
        let first = log.and_then(|log| compile_error::first(log::lines(log)));
        let tail = end_of(tail, first.is_some() && !ui.github);
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
                let title = github::group(&format!("{name} failed{on}{needed_by}"));
                format!("{title}\n{lines}{}\n", github::END_GROUP)
            }
            false => {
                let elapsed = clock(row.elapsed(now));
                let title = format!("{name} failed{on} after {elapsed}{needed_by}");
                format!("{}\n{lines}", ui.red(&title))
            }
        };
    }

    fn detail(&mut self, text: &str) {
        self.text += &(self.ui.dim(&printable(text)) + "\n");
    }

    fn line(&mut self, text: &str, now: f64) {
        let text = printable(text);
        match self.ui {
            Ui { bars: true, .. } => self.text += &(text + "\n"),
            Ui { quiet: true, .. } => {}
            _ => self.text += &format!("[{}] {text}\n", clock(now)),
        }
    }

    /// Prints the pending text above the bars.
    fn print(&mut self) {
        if !self.text.is_empty() {
            self.printed = Instant::now();
            if self.ui.github {
                // It contains commands to the runner, which `warn` would escape.
                let text = Links::Stderr.add(self.text.as_str().into());
                let _ = suspend(|| anstream::stderr().write_all(text.as_bytes()));
            } else {
                self.ui.warn(self.text.trim_end_matches('\n'));
            }
            self.text.clear();
        }
    }

    /// Prints and draws a few times a second. Call it often.
    pub fn tick(&mut self, rows: &mut Derivations, now: f64) {
        if self.ticked.elapsed() < REDRAW {
            return;
        }
        self.ticked = Instant::now();
        self.print();
        if !self.ui.bars {
            if self.printed.elapsed() >= HEARTBEAT {
                self.heartbeat(rows, now);
                self.print();
            }
            return;
        }
        let size = Size::of_stderr();
        let moment = Some(((now * 2.0) as u64, size));
        if self.drawn != moment {
            self.drawn = moment;
            self.bars.draw(rows::rows(rows, now, size.for_bars(), &self.ui), size.columns);
        }
    }

    fn heartbeat(&mut self, rows: &mut Derivations, now: f64) {
        let running: Vec<String> = rows
            .variants()
            .filter(|row| row.stage == Stage::Running)
            .chain(rows.running_dependencies())
            .map(|row| match row.steps {
                Some((done, total)) => format!("{} {done}/{total}", row.name),
                None => format!("{} {}", row.name, row.phase).trim_end().to_owned(),
            })
            .collect();
        let at = rows.overall(now);
        let mut text = format!("{:.0}%, {} of {} done", at.fraction * 100.0, at.ended, at.all);
        if let Some((bytes, of)) = at.fetched {
            text.push_str(&format!(", fetched {}", rows::fetched(bytes, of)));
        }
        if !running.is_empty() {
            text.push_str(&format!("; still building: {}", running.join(", ")));
        }
        self.line(&text, now);
    }
}

/// Formats the variants that need a dependency, and their hosts, such as `, needed by cpu-znver4
/// (carbon)`.
fn needed_by(rows: &Derivations, drv: &DrvPath) -> String {
    let Some(row) = rows.get(drv) else { return String::new() };
    let names: Vec<String> = rows
        .variants()
        .enumerate()
        .filter(|(index, _)| row.needed_by().contains(index))
        .map(|(_, variant)| format!("{} ({})", variant.name, variant.wanted_by))
        .collect();
    if names.is_empty() { String::new() } else { format!(", needed by {}", names.join(", ")) }
}

/// Cuts the end of a log, which is `is_short` if the first error is shown and the log is not in a
/// collapsed group.
fn end_of(tail: &[String], is_short: bool) -> &[String] {
    let lines = if is_short { 8 } else { tail.len() };
    &tail[tail.len().saturating_sub(lines)..]
}

/// Removes CI commands and tabs from a build's output.
fn printable(text: &str) -> String {
    github::defuse(&sanitize(text).replace('\t', "    "))
}

#[cfg(test)]
mod replay_tests;
#[cfg(test)]
mod tests;
