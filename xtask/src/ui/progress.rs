//! Progress bars. One `MultiProgress` draws all of them, so that other text appears above the bars,
//! not between them.

use std::borrow::Cow;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use console::{Term, measure_text_width, truncate_str};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::ui::bar_target::{self, ECHO};
use crate::ui::sanitize::sanitize_painted;
use crate::ui::waiting::{self, Occupied};
use crate::ui::{Ui, units};

static BARS: LazyLock<MultiProgress> =
    LazyLock::new(|| MultiProgress::with_draw_target(bar_target::of_stderr()));

/// Prints above the bars, which are cleared and drawn again.
pub fn suspend<T>(print: impl FnOnce() -> T) -> T {
    waiting::printed();
    BARS.suspend(|| {
        bar_target::remove_echo();
        print()
    })
}

/// A line with the current step and the elapsed time.
pub struct Live {
    bar: ProgressBar,
    started: Instant,
    _occupied: Option<Occupied>,
}

impl Live {
    /// Creates a bar over a known number of steps.
    pub fn start(ui: &Ui) -> Self {
        Self::since(ui, Instant::now(), Some(Occupied::begin()))
    }

    /// Creates a spinner that shows the time since `began`.
    pub fn silence(ui: &Ui, since: Instant) -> Self {
        Self::since(ui, since, None)
    }

    fn since(ui: &Ui, started: Instant, occupied: Option<Occupied>) -> Self {
        let bar =
            if ui.bars { BARS.add(ProgressBar::new_spinner()) } else { ProgressBar::hidden() };
        bar.set_style(style("{spinner} {prefix}{msg}"));
        bar.enable_steady_tick(Duration::from_millis(100));
        Self { bar, started, _occupied: occupied }
    }

    /// `round 4 of 10, upstream, about 2 min left`: `done` of `all` are done.
    pub fn at(&self, done: u32, all: u32, what: &str) {
        let elapsed = self.started.elapsed().as_secs_f64();
        let left = elapsed / f64::from(done.max(1)) * f64::from(all.saturating_sub(done));
        let left = if done == 0 { String::new() } else { format!(", {} left", units::about(left)) };
        self.bar.set_prefix(fit_line(&format!("{what}{left}"), 0));
        self.bar.set_message("");
    }

    /// Sets the current step.
    pub fn doing(&self, what: &str) {
        let seconds = self.started.elapsed().as_secs();
        let prefix = self.bar.prefix();
        let message = match prefix.as_str() {
            "" => format!("{what}, {seconds} s"),
            _ => format!(" ({what})"),
        };
        self.bar.set_message(fit_line(&message, width(&prefix)));
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A line for a known number of items, each of unknown length.
pub struct Spinner(ProgressBar, Occupied);

impl Spinner {
    pub fn start(ui: &Ui, what: &'static str, count: usize) -> Self {
        if !ui.bars {
            return Self(ProgressBar::hidden(), Occupied::begin());
        }
        let bar = BARS.add(ProgressBar::new(count as u64));
        bar.set_style(style("{spinner} {prefix} {pos}/{len}, {elapsed}  {msg}"));
        bar.set_prefix(what);
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(bar, Occupied::begin())
    }

    pub fn done(&self, name: &str) {
        let taken = "1000/1000, 10m  ".len() + width(&self.0.prefix());
        self.0.set_message(fit_line(name, taken));
        self.0.inc(1);
    }

    pub fn finish(&self) {
        self.0.finish_and_clear();
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Falls back to the default style where the template is invalid.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━─")
}

/// Returns the size of the terminal on stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    pub columns: usize,
    pub lines: usize,
}

impl Size {
    pub fn of_stderr() -> Self {
        let (lines, columns) = Term::stderr().size();
        Self { columns: columns.into(), lines: lines.into() }
    }

    /// Returns the lines that bars may use.
    pub fn for_bars(self) -> Self {
        Self { columns: self.columns.saturating_sub(ECHO), ..self }
    }
}

/// Cuts text to the columns left beside a spinner and `taken` other columns.
fn fit_line(text: &str, taken: usize) -> String {
    let Size { columns, .. } = Size::of_stderr();
    fit(&drawn(text), columns.saturating_sub("⠦ ".chars().count() + taken + ECHO)).into_owned()
}

/// Makes text safe for a bar, which is not printed through [`Ui`].
fn drawn(text: &str) -> String {
    sanitize_painted(text).replace(['\n', '\t'], " ")
}

/// Returns the columns that text takes on a terminal; escapes take none.
pub fn width(text: &str) -> usize {
    measure_text_width(text)
}

/// Cuts text to a number of columns.
pub fn fit(text: &str, columns: usize) -> Cow<'_, str> {
    truncate_str(text, columns, "…")
}

/// One line of a [`Block`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// indicatif's template; `prefix`, `msg`, `pos` and `len` are the fields below.
    pub template: String,
    pub prefix: String,
    pub message: String,
    pub position: u64,
    pub length: u64,
}

/// Several bars that are chosen at each redraw.
pub struct Block {
    bars: Vec<(ProgressBar, Row)>,
    columns: usize,
    _occupied: Occupied,
}

impl Block {
    pub fn empty() -> Self {
        Self { bars: vec![], columns: 0, _occupied: Occupied::begin() }
    }

    /// Draws these rows; the caller chooses at most as many as the terminal has lines.
    pub fn draw(&mut self, rows: Vec<Row>, columns: usize) {
        if self.columns != columns {
            self.forget_width(columns);
        }
        for (bar, _) in self.bars.drain(rows.len().min(self.bars.len())..) {
            BARS.remove(&bar);
        }
        for (index, row) in rows.into_iter().enumerate() {
            let changed = self.bars.get(index).is_none_or(|(_, drawn)| *drawn != row);
            if index == self.bars.len() {
                self.bars.push((BARS.add(ProgressBar::new(0)), row));
            } else if changed {
                self.bars[index].1 = row;
            }
            if changed {
                let (bar, row) = &self.bars[index];
                // The builder's methods change the state without drawing.
                let _ = bar
                    .clone()
                    .with_style(style(&row.template))
                    .with_prefix(drawn(&row.prefix))
                    .with_message(drawn(&row.message));
                bar.update(|state| {
                    state.set_len(row.length);
                    state.set_pos(row.position);
                });
            }
        }
        // The last changes may have come too soon to be drawn.
        if let Some((total, _)) = self.bars.first() {
            total.tick();
        }
    }

    /// Clears what was drawn at another width. Terminals wrap the block again, as one
    /// paragraph; indicatif clears as many lines as it has drawn.
    fn forget_width(&mut self, columns: usize) {
        let term = Term::stderr();
        let drawn = self.bars.len();
        let wrapped = (drawn * self.columns).div_ceil(columns.max(1));
        let _ = term.write_str(&"\n".repeat(drawn.saturating_sub(wrapped)));
        self.clear();
        if wrapped > drawn {
            let _ = term.move_cursor_up(wrapped - drawn);
            let _ = term.clear_to_end_of_screen();
        }
        self.columns = columns;
    }

    fn clear(&mut self) {
        for (bar, _) in self.bars.drain(..) {
            BARS.remove(&bar);
        }
        let _ = BARS.clear();
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        self.clear();
    }
}
