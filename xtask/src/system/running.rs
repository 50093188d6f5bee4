//! The children that run now, for the line that shows what a command is doing.

use std::sync::{Mutex, OnceLock, PoisonError};

use crate::system::invocation::Invocation;

/// The children that run now, the newest last, by process group.
static RUNNING: Mutex<Vec<(u32, String)>> = Mutex::new(vec![]);

/// Returns the newest child's program and subcommand, `nix eval`.
pub fn running() -> Option<String> {
    let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    running.last().map(|(_, name)| name.clone())
}

type Show = Box<dyn Fn(&str) + Send + Sync>;

static SHOW: OnceLock<Show> = OnceLock::new();

/// Passes every command line to `show` from now on.
pub fn show_commands(show: impl Fn(&str) + Send + Sync + 'static) {
    let _ = SHOW.set(Box::new(show));
}

/// A child, or work in this process, that runs until this is dropped.
pub(crate) struct Running(u32);

impl Running {
    /// Work in this process.
    pub(crate) fn own(what: String) -> Self {
        // No child is in this group.
        RUNNING.lock().unwrap_or_else(PoisonError::into_inner).push((0, what));
        Self(0)
    }

    pub(crate) fn begin(group: u32, invocation: &Invocation) -> Self {
        let program = invocation.program.file_name().unwrap_or_default().to_string_lossy();
        let word = invocation.args.first().map(|word| word.to_string_lossy());
        let word = word.filter(|word| word.chars().all(|c| c.is_ascii_alphabetic()));
        let name = [Some(program), word].into_iter().flatten().collect::<Vec<_>>().join(" ");
        if let Some(show) = SHOW.get() {
            show(&format!("$ {invocation}"));
        }
        RUNNING.lock().unwrap_or_else(PoisonError::into_inner).push((group, name));
        Self(group)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|(group, _)| *group != self.0);
    }
}
