//! Append-only files with a JSON value on each line: results, journals. A line is on the disk when
//! [`append`] returns. An incomplete line, left by a killed run, does not affect the others.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Error, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::system::disk;

/// xtask writes no line this long. Of a longer one only a part is read, which is not a value.
const LONGEST_LINE: usize = 1 << 20;
/// Bytes read at a time from the end of a file.
const CHUNK: u64 = 1 << 16;

/// Appends a value as a line.
pub fn append(file: &Path, value: &impl Serialize) -> Result<()> {
    let line = serde_json::to_string(value)?;
    disk::create(disk::folder_of(file))?;
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
    // One write, so that two processes do not write into each other's line.
    handle.write_all(text.as_bytes())?;
    handle.sync_all()?;
    // A new file's name is durable once its folder is flushed.
    File::open(disk::folder_of(file))?.sync_all()
}

/// Reads a file; one that does not exist is empty.
pub fn read(file: &Path) -> Result<String> {
    match fs::read(file) {
        // A power failure can leave any bytes in a line.
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", file.display())),
    }
}

/// Reads a file line by line, with only one in memory; a file that does not exist is empty.
pub fn for_each_line(file: &Path, mut act: impl FnMut(&str)) -> Result<()> {
    let mut read = || -> std::io::Result<()> {
        let mut reader = BufReader::with_capacity(LONGEST_LINE, File::open(file)?);
        let mut line = vec![];
        loop {
            line.clear();
            if reader.by_ref().take(LONGEST_LINE as u64).read_until(b'\n', &mut line)? == 0 {
                return Ok(());
            }
            if line.last() != Some(&b'\n') {
                reader.skip_until(b'\n')?;
            }
            act(String::from_utf8_lossy(&line).trim_end_matches('\n'));
        }
    };
    match read() {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        read => read.with_context(|| format!("cannot read {}", file.display())),
    }
}

/// Reads the lines of a file lazily, from the last to the first.
pub struct FromTheEnd {
    file: File,
    /// Where `tail` begins.
    start: u64,
    /// Bytes that are read but not yet returned.
    tail: Vec<u8>,
}

impl FromTheEnd {
    /// Opens a file; one that does not exist has no lines.
    pub fn open(path: &Path) -> Result<Option<Self>> {
        let open = || -> std::io::Result<Self> {
            let mut file = File::open(path)?;
            let start = file.seek(SeekFrom::End(0))?;
            Ok(Self { file, start, tail: vec![] })
        };
        match open() {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            open => open.map(Some).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Prepends the preceding piece of the file to `tail`.
    fn read_more(&mut self) -> std::io::Result<()> {
        if self.tail.len() > LONGEST_LINE {
            self.tail.clear();
        }
        let length = self.start.min(CHUNK);
        self.start -= length;
        self.file.seek(SeekFrom::Start(self.start))?;
        let mut piece = vec![];
        (&mut self.file).take(length).read_to_end(&mut piece)?;
        piece.append(&mut self.tail);
        self.tail = piece;
        Ok(())
    }
}

impl Iterator for FromTheEnd {
    type Item = std::io::Result<String>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let line = match self.tail.iter().rposition(|byte| *byte == b'\n') {
                Some(end) => self.tail.split_off(end).split_off(1),
                None if self.start > 0 => match self.read_more() {
                    Ok(()) => continue,
                    Err(error) => return Some(Err(error)),
                },
                None if self.tail.is_empty() => return None,
                None => std::mem::take(&mut self.tail),
            };
            if !line.is_empty() {
                return Some(Ok(String::from_utf8_lossy(&line).into_owned()));
            }
        }
    }
}

/// Parses the lines that are values of this type, and skips the others.
pub fn values<T: DeserializeOwned>(text: &str) -> impl Iterator<Item = T> {
    text.lines().filter_map(|line| serde_json::from_str(line).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_after_an_incomplete_line_has_a_line() {
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
    fn a_file_is_read_by_lines_from_both_ends() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.jsonl");
        assert!(FromTheEnd::open(&file).unwrap().is_none());
        for_each_line(&file, |line| panic!("{line}")).unwrap();
        let lines: Vec<String> =
            (0..3000).map(|number| format!("{number} {}", "é".repeat(number % 90))).collect();
        // A very long line, of which only a part is read.
        let flood = "x".repeat(3 * LONGEST_LINE);
        for text in [
            lines.join("\n"),
            format!("{}\n", lines.join("\n")),
            format!("{}\n{flood}\n{}\n{flood}", lines[..10].join("\n"), lines[10..].join("\n")),
        ] {
            fs::write(&file, text).unwrap();
            let mut read = vec![];
            for_each_line(&file, |line| read.push(line.to_owned())).unwrap();
            assert!(read.iter().all(|line| line.len() <= LONGEST_LINE));
            read.retain(|line| !line.contains('x'));
            assert_eq!(read, lines);
            let end = FromTheEnd::open(&file).unwrap().unwrap();
            let mut read: Vec<String> = end.map(Result::unwrap).collect();
            assert!(read.iter().all(|line| line.len() <= 2 * LONGEST_LINE));
            read.retain(|line| !line.contains('x'));
            read.reverse();
            assert_eq!(read, lines);
        }
    }

    #[test]
    fn only_regular_files_are_written() {
        let folder = tempfile::tempdir().unwrap();
        let (link, target) = (folder.path().join("a.jsonl"), folder.path().join("target"));
        fs::write(&target, "x\n").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert!(append(&link, &1).is_err());
        assert_eq!(fs::read_to_string(&target).unwrap(), "x\n");
        assert!(append(Path::new("/dev/null"), &1).is_err());
    }

    #[test]
    fn a_write_error_names_the_file() {
        let error = format!("{:#}", append(Path::new("/proc/self/a.jsonl"), &1).unwrap_err());
        assert!(error.contains("/proc/self/a.jsonl"), "{error}");
    }
}
