//! `builds.jsonl` under xtask's home: times and sizes of earlier builds. Only estimates depend
//! on it, so nothing that is wrong with it stops a build.

use std::path::Path;

use anyhow::Result;

use crate::build::estimates::{self, History, Record};
use crate::system::files;

const FILE: &str = "builds.jsonl";

/// Empty if the file is missing or unreadable.
pub fn read(home: &Path) -> History {
    let bytes = std::fs::read(home.join(FILE)).unwrap_or_default();
    History::parse(&String::from_utf8_lossy(&bytes))
}

/// Appends in one write, so that two concurrent runs lose no records.
pub fn add(home: &Path, records: &[Record]) -> Result<()> {
    if records.is_empty() {
        return Ok(());
    }
    let file = home.join(FILE);
    // A line cut short by a kill or a full disk must not damage the next.
    let torn = std::fs::read(&file).is_ok_and(|bytes| bytes.last().is_some_and(|b| *b != b'\n'));
    let lines: String = records.iter().map(estimates::line).collect();
    files::append(&file, &format!("{}{lines}", if torn { "\n" } else { "" }))?;
    // A record that another run adds at this moment may be lost.
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
    fn what_was_added_is_read_whatever_else_is_in_the_file() {
        let home = std::env::temp_dir().join(format!("xtask-history-{}", std::process::id()));
        std::fs::create_dir_all(&home).unwrap();
        assert_eq!(read(&home).seconds("a", ""), None);
        std::fs::write(home.join(FILE), b"\xff\n{\"name\":\"a\",\"sec").unwrap();
        std::thread::scope(|scope| {
            for name in ["a", "b", "c", "d"] {
                let home = &home;
                scope.spawn(move || {
                    (0..20).for_each(|_| add(home, &[record(name, 4.0)]).unwrap());
                });
            }
        });
        for name in ["a", "b", "c", "d"] {
            assert_eq!(read(&home).seconds(name, ""), Some(4.0), "{name}");
        }
        (0..300).for_each(|_| add(&home, &[record("a", 5.0)]).unwrap());
        assert!(std::fs::read(home.join(FILE)).unwrap().len() < 10_000);
        assert_eq!(read(&home).seconds("a", ""), Some(5.0));
        assert_eq!(read(&home).seconds("d", ""), Some(4.0));
        std::fs::remove_dir_all(home).unwrap();
    }
}
