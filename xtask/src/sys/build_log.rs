//! The whole log of each build, on disk while it runs.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::domain::build::short_name;
use crate::domain::build_tracker::Update;
use crate::domain::names::DrvPath;
use crate::sys::{disk, files};

/// The lines of a log, however much of it there is: an unreadable rest is left out, and a
/// line of megabytes comes in pieces.
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

/// One folder a run, one file a derivation.
pub struct BuildLogs {
    folder: PathBuf,
    files: BTreeMap<DrvPath, (PathBuf, File)>,
}

impl BuildLogs {
    pub fn create(folder: &Path) -> Result<Self> {
        disk::create(folder)?;
        Ok(Self { folder: folder.to_owned(), files: BTreeMap::new() })
    }

    /// Keeps the lines and phases of every derivation.
    pub fn follow(&mut self, update: &Update) -> Result<()> {
        match update {
            Update::Line { drv, line } => self.write(drv, line),
            Update::Phase { drv, phase } => self.write(drv, &format!("@phase {phase}")),
            _ => Ok(()),
        }
    }

    fn write(&mut self, drv: &DrvPath, line: &str) -> Result<()> {
        if !self.files.contains_key(drv) {
            let name = format!("{}.log", files::safe_name(short_name(drv.as_str())));
            let path = self.folder.join(name);
            let file = File::options().create(true).append(true).open(&path);
            let file = file.with_context(|| format!("cannot write the log {}", path.display()))?;
            self.files.insert(drv.clone(), (path, file));
        }
        let Some((path, file)) = self.files.get_mut(drv) else { return Ok(()) };
        file.write_all(format!("{line}\n").as_bytes())
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// Nix's own errors, which belong to no derivation.
    pub fn remember(&self, errors: &[String]) -> Result<()> {
        if errors.is_empty() {
            return Ok(());
        }
        files::write_atomically(&self.folder.join("nix-errors.log"), errors.join("\n").as_bytes())
    }

    pub fn file(&self, drv: &DrvPath) -> Option<&Path> {
        self.files.get(drv).map(|(path, _)| path.as_path())
    }
}
