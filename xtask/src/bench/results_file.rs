//! bench/HOST.jsonl on disk. A line is there whole when [`ResultsFile::append`] has
//! returned, whatever happens afterwards.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

use crate::system::{disk, files};

/// The eras that the testbed's results are kept apart by: an old llama.cpp after a new one
/// is no slow-down.
pub const ERAS: [&str; 2] = ["old", "new"];

/// Where results are kept that say nothing of the fleet in the flake's own folder: in
/// xtask's, by the flake's reference and the testbed's era.
pub fn private_folder(home: &Path, reference: &str, era: Option<&str>) -> PathBuf {
    let era = era.map(|era| format!("-testbed-{era}")).unwrap_or_default();
    home.join("bench").join(format!("{}{era}", files::safe_name(reference)))
}

/// One host's results and its baseline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultsFile {
    pub results: PathBuf,
    pub baseline: PathBuf,
}

impl ResultsFile {
    /// In this folder.
    pub fn of(folder: &Path, host: &str) -> Self {
        let host = files::safe_name(host);
        Self {
            results: folder.join(format!("{host}.jsonl")),
            baseline: folder.join(format!("{host}.baseline.json")),
        }
    }

    /// What was appended so far; nothing where there is no file yet.
    pub fn text(&self) -> Result<String> {
        read_or_empty(&self.results)
    }

    pub fn baseline_text(&self) -> Result<String> {
        read_or_empty(&self.baseline)
    }

    /// Adds a line, on a fresh line also after a run that was killed in the middle of
    /// one, and waits until the disk has it.
    pub fn append(&self, line: &str) -> Result<()> {
        append_line(&self.results, line)
    }
}

/// Adds a line to any such file, in the way of [`ResultsFile::append`].
pub fn append_line(file: &Path, line: &str) -> Result<()> {
    if let Some(folder) = file.parent() {
        disk::create(folder)?;
    }
    append(file, line).with_context(|| format!("cannot write to {}", file.display()))
}

fn append(file: &Path, line: &str) -> std::io::Result<()> {
    let mut handle = File::options().read(true).append(true).create(true).open(file)?;
    let mut text = String::with_capacity(line.len() + 2);
    if handle.seek(SeekFrom::End(0))? > 0 {
        handle.seek(SeekFrom::End(-1))?;
        let mut last = [0];
        handle.read_exact(&mut last)?;
        if last != *b"\n" {
            text.push('\n');
        }
    }
    text.push_str(line);
    text.push('\n');
    // In one piece, so that two who append do not write into each other's line.
    handle.write_all(text.as_bytes())?;
    handle.sync_all()?;
    // A new file's name is in its folder.
    file.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// Reads a file; one that does not exist is empty.
pub fn read_or_empty(file: &Path) -> Result<String> {
    match fs::read(file) {
        // A power cut can leave anything in a line.
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", file.display())),
    }
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_begins_afresh_after_half_a_line() {
        let dir = std::env::temp_dir().join(format!("xtask-records-{}", std::process::id()));
        let records = ResultsFile::of(&dir.join("bench"), "../a");
        assert_eq!(records.text().unwrap(), "");
        records.append("{1}").unwrap();
        records.append("{2}").unwrap();
        let mut file = File::options().append(true).open(&records.results).unwrap();
        file.write_all(b"{\"half\xff").unwrap();
        records.append("{3}").unwrap();
        assert_eq!(records.text().unwrap(), "{1}\n{2}\n{\"half\u{fffd}\n{3}\n");
        assert_eq!(records.results.parent(), Some(dir.join("bench").as_path()));
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn what_cannot_be_written_names_the_file() {
        let records = ResultsFile::of(Path::new("/proc/self"), "a");
        let error = format!("{:#}", records.append("x").unwrap_err());
        assert!(error.contains("/proc/self/a.jsonl"), "{error}");
    }
}
