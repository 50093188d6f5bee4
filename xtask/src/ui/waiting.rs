//! A line that appears when a command has printed nothing for a second, and disappears when it
//! prints again.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::ui::Ui;
use crate::ui::progress::Live;

/// The state of the terminal.
struct Shown {
    /// Time of the last output.
    last: Instant,
    /// Progress lines, and questions that wait for an answer.
    others: usize,
    waiting: Option<Live>,
    ended: bool,
}

static SHOWN: Mutex<Option<Shown>> = Mutex::new(None);

const SILENCE: Duration = Duration::from_millis(800);

/// Watches until [`end`]. `doing` returns what the command does now.
pub fn watch(ui: &Ui, doing: fn() -> Option<String>) {
    if !ui.bars {
        return;
    }
    let ui = *ui;
    *shown() = Some(Shown { last: Instant::now(), others: 0, waiting: None, ended: false });
    thread::spawn(move || {
        loop {
            thread::sleep(Duration::from_millis(100));
            let mut guard = shown();
            let Some(shown) = &mut *guard else { return };
            if shown.ended {
                return;
            }
            let silent = shown.others == 0 && shown.last.elapsed() > SILENCE;
            if silent {
                let since = shown.last;
                let line = shown.waiting.get_or_insert_with(|| Live::silence(&ui, since));
                line.doing(&doing().unwrap_or_else(|| "working".to_owned()));
            } else {
                shown.waiting = None;
            }
        }
    });
}

/// Removes the line for good.
pub fn end() {
    if let Some(shown) = &mut *shown() {
        shown.ended = true;
        shown.waiting = None;
    }
}

/// Notes that something was printed.
pub fn printed() {
    if let Some(shown) = &mut *shown() {
        shown.last = Instant::now();
        shown.waiting = None;
    }
}

/// While this exists, something else shows progress.
pub struct Occupied;

impl Occupied {
    pub fn begin() -> Self {
        count(1);
        Self
    }
}

impl Drop for Occupied {
    fn drop(&mut self) {
        count(-1);
    }
}

fn count(change: isize) {
    if let Some(shown) = &mut *shown() {
        shown.others = shown.others.saturating_add_signed(change);
        shown.last = Instant::now();
        shown.waiting = None;
    }
}

fn shown() -> MutexGuard<'static, Option<Shown>> {
    SHOWN.lock().unwrap_or_else(PoisonError::into_inner)
}
