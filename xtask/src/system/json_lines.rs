//! Files with a JSON value on each line, which only ever grow: results, journals. A line is on
//! the disk when [`append`] returns, whatever happens afterwards; one that a killed run left
//! incomplete spoils no other.

use std::fs::{self, File};
use std::io::{Error, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::system::disk;

/// Adds a value, on a line of its own.
pub fn append(file: &Path, value: &impl Serialize) -> Result<()> {
    let line = serde_json::to_string(value)?;
    if let Some(folder) = file.parent() {
        disk::create(folder)?;
    }
    append_line(file, &line).with_context(|| format!("cannot write to {}", file.display()))
}

fn append_line(file: &Path, line: &str) -> std::io::Result<()> {
    // A link could lead anywhere, and a repository can contain one.
    let mut options = File::options();
    options.read(true).append(true).create(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let mut handle = options.open(file)?;
    if !handle.metadata()?.is_file() {
        return Err(Error::new(ErrorKind::InvalidInput, "it exists but is not a regular file"));
    }
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
pub fn read(file: &Path) -> Result<String> {
    match fs::read(file) {
        // A power cut can leave anything in a line.
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", file.display())),
    }
}

/// The values of a file that are of this type; other lines are left out.
pub fn values<T: DeserializeOwned>(text: &str) -> impl Iterator<Item = T> {
    text.lines().filter_map(|line| serde_json::from_str(line).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_begins_afresh_after_half_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("new/a.jsonl");
        assert_eq!(read(&file).unwrap(), "");
        append(&file, &[1]).unwrap();
        append(&file, &[2]).unwrap();
        File::options().append(true).open(&file).unwrap().write_all(b"[\"half\xff").unwrap();
        append(&file, &[3]).unwrap();
        let text = read(&file).unwrap();
        assert_eq!(text, "[1]\n[2]\n[\"half\u{fffd}\n[3]\n");
        assert_eq!(values::<[u32; 1]>(&text).collect::<Vec<_>>(), [[1], [2], [3]]);
    }

    #[test]
    fn nothing_is_written_through_a_link_or_into_a_pipe() {
        let folder = tempfile::tempdir().unwrap();
        let (link, target) = (folder.path().join("a.jsonl"), folder.path().join("target"));
        fs::write(&target, "x\n").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert!(append(&link, &1).is_err());
        assert_eq!(fs::read_to_string(&target).unwrap(), "x\n");
        assert!(append(Path::new("/dev/null"), &1).is_err());
    }

    #[test]
    fn what_cannot_be_written_names_the_file() {
        let error = format!("{:#}", append(Path::new("/proc/self/a.jsonl"), &1).unwrap_err());
        assert!(error.contains("/proc/self/a.jsonl"), "{error}");
    }
}
