//! Writes a run's reports for a CI system: a JUnit file (`--junit`), and GitHub's annotations
//! and step summary. A run that fails or is interrupted also writes them, so that nobody reads
//! the report of an earlier run instead.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};

use crate::ci::github;
use crate::ci::junit::{self, Case};
use crate::findings::outcome::Outcome;
use crate::system::resources;
use crate::system::{disk, files, interrupt};
use crate::ui::github::STEP_SUMMARY;
use crate::ui::{Ui, outgoing};

/// Where one run's reports go.
pub struct Ci<'a> {
    ui: Ui,
    command: &'static str,
    junit: Option<&'a Path>,
    summary: Option<PathBuf>,
    began: SystemTime,
    reported: Cell<bool>,
}

/// One report in several formats.
pub struct Report {
    pub cases: Vec<Case>,
    pub annotations: Vec<String>,
    pub summary: String,
}

/// Runs a command that passes its report to [`Ci::report`].
///
/// # Errors
/// The JUnit file cannot be written, or `run` fails.
pub fn run(
    ui: &Ui,
    command: &'static str,
    junit: Option<&Path>,
    run: &dyn Fn(&Ci) -> Result<Outcome>,
) -> Result<Outcome> {
    if let Some(file) = junit {
        prepare_file(file)?;
    }
    let summary = std::env::var_os(STEP_SUMMARY).filter(|_| ui.github).map(PathBuf::from);
    let ci = Ci {
        ui: *ui,
        command,
        junit,
        summary,
        began: SystemTime::now(),
        reported: Cell::new(false),
    };
    run(&ci).inspect_err(|error| {
        if let Err(another) = ci.report_failure(&format!("{error:#}")) {
            ui.warn(format!("{another:#}"));
        }
    })
}

/// Checks that the file can be written, before hours of building. Removes the report of an
/// earlier run, which would remain if this run is killed.
fn prepare_file(file: &Path) -> Result<()> {
    if let Ok(meta) = file.symlink_metadata()
        && !meta.is_file()
    {
        bail!("--junit {}: exists but is not a regular file", file.display());
    }
    disk::create(disk::folder_of(file))
        // The rename at the end needs the folder, not the file, to be writable.
        .and_then(|()| files::write_atomically(file, b""))
        .and_then(|()| disk::remove(file))
        .with_context(|| format!("--junit {}: choose a file in a writable folder", file.display()))
}

impl Ci<'_> {
    /// Writes the report in all requested formats, even if one of them fails.
    pub fn report(&self, report: Report) -> Result<()> {
        self.reported.set(true);
        let written = self.write_junit(&report.cases);
        if self.ui.github {
            for annotation in &report.annotations {
                self.ui.command_to_runner(annotation);
            }
        }
        written.and(self.write_summary(report.summary))
    }

    /// Reports that the command failed, unless it has reported already. main.rs prints the
    /// annotation.
    fn report_failure(&self, message: &str) -> Result<()> {
        if self.reported.get() {
            return Ok(());
        }
        let message = if interrupt::requested() { "interrupted" } else { message };
        let written = self.write_junit(&[junit::broken_run(self.command, message)]);
        written.and(self.write_summary(github::broken_summary(self.command, message)))
    }

    fn write_junit(&self, cases: &[Case]) -> Result<()> {
        let Some(file) = self.junit else { return Ok(()) };
        let run = junit::Run {
            command: self.command,
            machine: resources::machine_name(),
            began: self.began.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
            seconds: self.began.elapsed().map_or(0.0, |took| took.as_secs_f64()),
        };
        let text = outgoing(junit::render(&run, cases).into());
        files::write_atomically(file, text.as_bytes())
    }

    fn write_summary(&self, text: String) -> Result<()> {
        let Some(file) = &self.summary else { return Ok(()) };
        files::append(file, &outgoing(text.into()))
    }
}
