//! `check --watch`: checks again whenever a file of the flake changes.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, bail};
use walkdir::{DirEntry, WalkDir};

use crate::check::args::CheckArgs;
use crate::check::command;
use crate::ci::run::run as ci_run;
use crate::findings::outcome::Outcome;
use crate::fleet::args::Global;
use crate::fleet::context::{Context, local_root};
use crate::system::{interrupt, paths};
use crate::ui::Ui;
use crate::ui::waiting::Occupied;

const PAUSE: Duration = Duration::from_millis(300);

/// Runs until Ctrl-C.
///
/// # Errors
/// Always: the user has interrupted, or the flake is not on this machine.
pub fn run(args: &CheckArgs, global: &Global, ui: &Ui) -> Result<Outcome> {
    if ui.json {
        bail!("--watch prints no document: run `check --json` whenever you need one");
    }
    let root = match &global.flake {
        Some(flake) => local_root(flake).with_context(|| format!("{flake} is not a folder"))?,
        None => paths::repository_root()?,
    };
    loop {
        let before = files(&root);
        let checked = ci_run(ui, "check", args.junit.as_deref(), &|ci| {
            command::run(args, &Context::open(global, ui)?, ci)
        });
        interrupt::check()?;
        if let Err(error) = checked {
            ui.error(&error);
        }
        ui.status(ui.dim("waiting for a change; Ctrl-C ends"));
        let _silent = Occupied::begin();
        while files(&root) == before {
            interrupt::check()?;
            thread::sleep(PAUSE);
        }
        ui.status("");
    }
}

/// Returns the files that an evaluation reads, each with its time of modification and its size.
fn files(root: &Path) -> Vec<(PathBuf, Option<SystemTime>, u64)> {
    let is_read = |entry: &DirEntry| {
        let name = entry.file_name().to_string_lossy();
        entry.depth() == 0 || !(name.starts_with('.') || name == "target" || name == "result")
    };
    let entries = WalkDir::new(root).into_iter().filter_entry(is_read).flatten();
    let files = entries.filter(|entry| {
        let extension = entry.path().extension().and_then(|extension| extension.to_str());
        matches!(extension, Some("nix" | "json" | "lock" | "patch"))
    });
    let stamp = |entry: DirEntry| {
        let about = entry.metadata().ok()?;
        Some((entry.into_path(), about.modified().ok(), about.len()))
    };
    files.filter_map(stamp).collect()
}
