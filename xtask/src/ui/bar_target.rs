//! The terminal that bars are drawn on. indicatif leaves the cursor after the last column, where
//! `^C` would wrap to the next line and leave a bar that cannot be cleared. Here `^C` stays in the
//! last line.

use std::io::{self, IsTerminal as _};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use console::Term;
use indicatif::{ProgressDrawTarget, TermLike};

use crate::ui::is_dumb;

/// Columns left free in every line, for two `^C`.
pub const ECHO: usize = 4;

/// Returns how often Ctrl-C was pressed; the terminal shows `^C` each time.
static PRESSED: OnceLock<fn() -> usize> = OnceLock::new();
static REMOVED: AtomicUsize = AtomicUsize::new(0);

/// Makes [`remove_echo`] remove it from now on.
pub fn remove_echo_of(pressed: fn() -> usize) {
    let _ = PRESSED.set(pressed);
}

/// Removes `^C`. Call it before printing, or the text begins after it.
pub fn remove_echo() {
    let pressed = PRESSED.get().map_or(0, |pressed| pressed());
    let is_new = REMOVED.swap(pressed, Ordering::Relaxed) != pressed;
    if is_new && io::stderr().is_terminal() && !is_dumb() {
        let _ = Term::stderr().clear_line();
    }
}

pub fn of_stderr() -> ProgressDrawTarget {
    if !io::stderr().is_terminal() {
        return ProgressDrawTarget::hidden();
    }
    let terminal = Terminal { term: Term::buffered_stderr(), drawn: AtomicBool::default() };
    ProgressDrawTarget::term_like_with_hz(Box::new(terminal), 10)
}

#[derive(Debug)]
struct Terminal {
    term: Term,
    /// Whether the cursor is after a drawn line.
    drawn: AtomicBool,
}

impl TermLike for Terminal {
    fn width(&self) -> u16 {
        self.term.size().1
    }

    fn height(&self) -> u16 {
        self.term.size().0
    }

    fn move_cursor_up(&self, lines: usize) -> io::Result<()> {
        self.term.move_cursor_up(lines)
    }

    fn move_cursor_down(&self, lines: usize) -> io::Result<()> {
        self.term.move_cursor_down(lines)
    }

    fn move_cursor_right(&self, columns: usize) -> io::Result<()> {
        self.term.move_cursor_right(columns)
    }

    fn move_cursor_left(&self, columns: usize) -> io::Result<()> {
        self.term.move_cursor_left(columns)
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.term.write_line(text)
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.drawn.store(true, Ordering::Relaxed);
        self.term.write_str(text)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.drawn.store(false, Ordering::Relaxed);
        self.term.clear_line()
    }

    fn flush(&self) -> io::Result<()> {
        if self.drawn.swap(false, Ordering::Relaxed) {
            self.term.move_cursor_left(ECHO)?;
        }
        self.term.flush()
    }
}
