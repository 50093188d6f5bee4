//! The terminal that bars are drawn on. indicatif leaves the cursor behind the last column, where
//! `^C` would go to the next line and leave a bar out of reach. Here it stays in the last line.

use std::io::{self, IsTerminal as _};
use std::sync::atomic::{AtomicBool, Ordering};

use console::Term;
use indicatif::{ProgressDrawTarget, TermLike};

/// Columns that stay free in every line that is drawn: `^C`, twice.
pub const ECHO: usize = 4;

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
    /// Whether the cursor is behind a line that was drawn.
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
