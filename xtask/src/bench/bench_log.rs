//! The log of llama-bench's stderr: a driver's complaint matters when the figures are strange,
//! and by then the run is over.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result};

/// No log where no file is named.
pub struct BenchLog(Option<BufWriter<File>>);

impl BenchLog {
    /// Goes on in the file, with the command as a heading.
    pub fn append(file: Option<&Path>, command: &[&str]) -> Result<Self> {
        let Some(file) = file else { return Ok(Self(None)) };
        let folder = file.parent().context("a log without a folder")?;
        crate::system::disk::create(folder)?;
        let open = File::options().create(true).append(true).open(file);
        let open = open.with_context(|| format!("cannot write the log {}", file.display()))?;
        let mut log = Self(Some(BufWriter::new(open)));
        log.line(&format!("$ {}", command.join(" ")));
        Ok(log)
    }

    /// A disk that is full costs the log, not the measurement.
    pub fn line(&mut self, line: &str) {
        if let Some(file) = &mut self.0 {
            let _ = writeln!(file, "{line}");
        }
    }
}
