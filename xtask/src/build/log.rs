//! Writes the full log of each build to disk while it runs. A full or read-only disk does not stop
//! a build: the log ends there, and the first error is reported.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Error};

use crate::build::tracker::Update;
use crate::build::variants::short_name;
use crate::nix::names::DrvPath;
use crate::system::{disk, files};

/// Reads the lines of a log until an error. A line of megabytes is split.
pub fn lines(log: &Path) -> impl Iterator<Item = String> {
    let mut reader = File::open(log).ok().map(BufReader::new);
    std::iter::from_fn(move || {
        let mut line = vec![];
        match reader.as_mut()?.by_ref().take(1 << 16).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(String::from_utf8_lossy(&line).trim_end().to_owned()),
        }
    })
}

/// One folder per run, one file per derivation.
pub struct BuildLogs {
    folder: PathBuf,
    logs: HashMap<DrvPath, Log>,
    /// The first error.
    pub error: Option<Error>,
}

struct Log {
    path: PathBuf,
    /// `None` if it could not be written completely.
    file: Option<File>,
}

impl BuildLogs {
    pub fn create(folder: &Path) -> Self {
        let error = disk::create(folder).err();
        Self { folder: folder.to_owned(), logs: HashMap::new(), error }
    }

    pub fn follow(&mut self, update: &Update) {
        match update {
            Update::Line { drv, line } => self.write(drv, line),
            Update::Phase { drv, phase } => self.write(drv, &format!("@phase {phase}")),
            _ => {}
        }
    }

    fn write(&mut self, drv: &DrvPath, line: &str) {
        if !self.logs.contains_key(drv) {
            let log = self.open(drv);
            self.logs.insert(drv.clone(), log);
        }
        let Some(log) = self.logs.get_mut(drv) else { return };
        let Some(file) = &mut log.file else { return };
        if let Err(error) = file.write_all(format!("{line}\n").as_bytes()) {
            log.file = None;
            let error = Error::new(error).context(format!("cannot write {}", log.path.display()));
            self.error.get_or_insert(error);
        }
    }

    fn open(&mut self, drv: &DrvPath) -> Log {
        let name = files::safe_name(short_name(drv.as_str()));
        let mut path = self.folder.join(format!("{name}.log"));
        // A second derivation of the same name also gets its hash.
        if self.logs.values().any(|log| log.path == path) {
            let stem = Path::new(drv.as_str()).file_stem().unwrap_or_default().to_string_lossy();
            path = self.folder.join(format!("{}.log", files::safe_name(&stem)));
        }
        let file = File::options().create(true).append(true).open(&path);
        let file = match file.with_context(|| format!("cannot write the log {}", path.display())) {
            Ok(file) => Some(file),
            Err(error) => {
                self.error.get_or_insert(error);
                None
            }
        };
        Log { path, file }
    }

    /// Writes Nix's errors, which belong to no derivation.
    pub fn write_nix_errors(&mut self, errors: &[String]) {
        let file = self.folder.join("nix-errors.log");
        let written = match errors {
            [] => Ok(()),
            errors => files::write_atomically(&file, errors.join("\n").as_bytes()),
        };
        if let Err(error) = written {
            self.error.get_or_insert(error);
        }
    }

    /// Returns the log file of a derivation, if it is complete.
    pub fn file(&self, drv: &DrvPath) -> Option<&Path> {
        self.logs.get(drv).filter(|log| log.file.is_some()).map(|log| log.path.as_path())
    }
}
