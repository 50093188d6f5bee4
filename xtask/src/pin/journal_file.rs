//! Where the journal of updates is kept: under `updates/` of xtask's folder, a file for
//! each fleet, a line for each step.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::pin::journal::Entry;
use crate::system::{disk, files};

fn file(home: &Path, root: &Path) -> PathBuf {
    home.join("updates").join(format!("{}.jsonl", files::safe_name(&root.to_string_lossy())))
}

/// Oldest first. A line that a killed run left unfinished is none.
pub fn read(home: &Path, root: &Path) -> Vec<Entry> {
    let text = fs::read_to_string(file(home, root)).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// On the disk when this returns.
pub fn append(home: &Path, root: &Path, entry: &Entry) -> Result<()> {
    let file = file(home, root);
    disk::create(file.parent().unwrap_or(home))?;
    let line = serde_json::to_string(entry).context("cannot serialize a journal entry")?;
    let opened = File::options().append(true).create(true).open(&file);
    // The newline first: it ends a line that a killed run left unfinished.
    opened
        .and_then(|mut handle| {
            handle.write_all(format!("\n{line}\n").as_bytes())?;
            handle.sync_all()
        })
        .with_context(|| format!("cannot write {}", file.display()))
}
