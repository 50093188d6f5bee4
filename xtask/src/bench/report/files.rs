//! What bench kept: the bench/HOST.jsonl of a folder.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Each file with its text, by name; none where there is no such folder. Bytes that are
/// no text spoil their own line only.
pub fn all(folder: &Path) -> Result<Vec<(PathBuf, String)>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(vec![]),
        entries => entries.with_context(|| format!("cannot read {}", folder.display()))?,
    };
    let mut found = vec![];
    for entry in entries {
        let file = entry.with_context(|| format!("cannot read {}", folder.display()))?.path();
        if file.extension().is_some_and(|extension| extension == "jsonl") && file.is_file() {
            let bytes =
                fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
            found.push((file, String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
    found.sort();
    Ok(found)
}
