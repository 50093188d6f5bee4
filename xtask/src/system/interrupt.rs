//! Counts Ctrl-C. The first one stops new work and sends children SIGTERM, the second kills them,
//! the third ends this process. Each child has its own process group, so the terminal's signal
//! reaches only this process, which passes it on (see process.rs).

use std::fmt;
use std::process;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// The exit status that shells report for a program ended by SIGINT.
pub const STATUS: u8 = 130;
/// The signal that ends the process even in code that does not check, such as a long computation.
pub(crate) const LAST: usize = 3;

static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Starts counting SIGINT, SIGTERM and SIGHUP. Call once, at start-up.
pub fn install() -> Result<()> {
    let mut signals =
        Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot listen for signals")?;
    thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            for _ in signals.forever() {
                if COUNT.fetch_add(1, Ordering::SeqCst) + 1 >= LAST {
                    #[expect(clippy::disallowed_methods, reason = "nothing else ends it")]
                    process::exit(STATUS.into());
                }
            }
        })
        .context("cannot start the signal thread")?;
    Ok(())
}

/// The error of work that was cut short because the user asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// # Errors
/// The user asked to stop.
pub fn check() -> Result<(), Interrupted> {
    if requested() { Err(Interrupted) } else { Ok(()) }
}

/// Returns how often the user asked to stop.
pub fn count() -> usize {
    COUNT.load(Ordering::SeqCst)
}

/// Returns whether the user asked to stop.
pub fn requested() -> bool {
    count() > 0
}
