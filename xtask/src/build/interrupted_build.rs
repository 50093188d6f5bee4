//! What a run of build-all set out to build, kept while it runs. A run that ends leaves
//! nothing; one that was killed, or lost its power, leaves word for the next.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::build::plan::Unfinished;
use crate::system::{disk, files};

fn file(home: &Path) -> PathBuf {
    home.join("build-unfinished.json")
}

/// What the last run left, if it did not end; what cannot be read is as if it were not there.
pub fn left(home: &Path) -> Option<Unfinished> {
    serde_json::from_str(&files::read(&file(home)).ok()?).ok()
}

pub fn begin(home: &Path, now: &Unfinished) -> Result<()> {
    disk::create(home)?;
    files::write_atomically(&file(home), serde_json::to_string(now)?.as_bytes())
}

pub fn end(home: &Path) -> Result<()> {
    disk::remove(&file(home))
}
