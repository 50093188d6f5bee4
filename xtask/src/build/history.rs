//! Reads and writes `builds.jsonl` in xtask's home: times and sizes of earlier builds. Only
//! estimates use it, so an unreadable file does not stop a build.

use std::path::Path;

use anyhow::Result;

use crate::build::estimates::{self, History, Record};
use crate::system::{files, json_lines};

const FILE: &str = "builds.jsonl";

/// Empty if the file is missing or unreadable.
pub fn read(home: &Path) -> History {
    History::parse(&json_lines::read(&home.join(FILE)).unwrap_or_default())
}

/// Appends records in one write, so that two concurrent runs lose no records.
pub fn add(home: &Path, records: &[Record]) -> Result<()> {
    if records.is_empty() {
        return Ok(());
    }
    let file = home.join(FILE);
    // The last line may be incomplete, after a kill or with a full disk.
    let torn = std::fs::read(&file).is_ok_and(|bytes| bytes.last().is_some_and(|b| *b != b'\n'));
    let lines: String = records.iter().map(estimates::line).collect();
    files::append(&file, &format!("{}{lines}", if torn { "\n" } else { "" }))?;
    // This may lose a record that another run adds at the same time.
    match read(home).compact() {
        Some(text) => files::write_atomically(&file, text.as_bytes()),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &str, seconds: f64) -> Record {
        Record {
            name: name.into(),
            machine: String::new(),
            seconds,
            out: None,
            closure_bytes: None,
        }
    }

    #[test]
    fn records_are_read_from_a_damaged_file() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path();
        assert_eq!(read(home).seconds("a", ""), None);
        std::fs::write(home.join(FILE), b"\xff\n{\"name\":\"a\",\"sec").unwrap();
        std::thread::scope(|scope| {
            for name in ["a", "b", "c", "d"] {
                scope.spawn(move || {
                    (0..20).for_each(|_| add(home, &[record(name, 4.0)]).unwrap());
                });
            }
        });
        for name in ["a", "b", "c", "d"] {
            assert_eq!(read(home).seconds(name, ""), Some(4.0), "{name}");
        }
        (0..300).for_each(|_| add(home, &[record("a", 5.0)]).unwrap());
        assert!(std::fs::read(home.join(FILE)).unwrap().len() < 10_000);
        assert_eq!(read(home).seconds("a", ""), Some(5.0));
        assert_eq!(read(home).seconds("d", ""), Some(4.0));
    }
}
