//! `builds.jsonl` under xtask's home: what earlier builds took and gave. Only guesses
//! rest on it, so nothing that is wrong with it stops a build.

use std::path::Path;

use anyhow::Result;

use crate::build::estimates::{self, History, Record};
use crate::system::files;

const FILE: &str = "builds.jsonl";

/// Nothing where there is no file, or none that can be read.
pub fn read(home: &Path) -> History {
    let bytes = std::fs::read(home.join(FILE)).unwrap_or_default();
    History::parse(&String::from_utf8_lossy(&bytes))
}

/// Adds builds by one write at the file's end, so that two runs at once both keep theirs.
pub fn add(home: &Path, records: &[Record]) -> Result<()> {
    if records.is_empty() {
        return Ok(());
    }
    let file = home.join(FILE);
    // A line that a kill or a full disk cut short must not spoil the next.
    let torn = std::fs::read(&file).is_ok_and(|bytes| bytes.last().is_some_and(|b| *b != b'\n'));
    let lines: String = records.iter().map(estimates::line).collect();
    files::append(&file, &format!("{}{lines}", if torn { "\n" } else { "" }))?;
    // Another run's records of this very moment may be lost: a guess less.
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
