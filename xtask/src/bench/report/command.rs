//! `report`: shows bench's results over time, as HTML, Markdown, JSON or in the terminal.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum as _;
use walkdir::WalkDir;

use crate::bench::report::args::ReportArgs;
use crate::bench::report::history::{Damaged, Histories};
use crate::bench::report::plot::Screen;
use crate::bench::report::{html, markdown, plot};
use crate::bench::results::Record;
use crate::bench::results_file;
use crate::findings::outcome::Outcome;
use crate::fleet::args::Global;
use crate::fleet::context::local_root;
use crate::system::{files, json_lines, paths};
use crate::testbed::revision::TestbedRevision;
use crate::ui::nearest::nearest;
use crate::ui::sanitize::sanitize_name;
use crate::ui::{Ui, outgoing};

/// File name that means standard output.
const STDOUT: &str = "-";

pub fn run(args: &ReportArgs, global: &Global, ui: &Ui) -> Result<Outcome> {
    // Discover.
    let mut files = vec![];
    for folder in &folders(args, global)? {
        files.extend(results_files(folder)?);
    }
    // Plan.
    let to_stdout =
        [&args.html, &args.markdown].into_iter().flatten().filter(|file| is_stdout(file));
    if to_stdout.count() + usize::from(global.output.json) > 1 {
        bail!("only one of --html -, --markdown - and --json can go to standard output");
    }
    // Run.
    let (mut histories, mut damaged) = (Histories::of(&args.hosts), vec![]);
    for file in &files {
        let mut number = 0;
        json_lines::for_each_line(file, |line| {
            number += 1;
            match Record::parse(line) {
                Ok(record) => histories.add(&record),
                Err(_) if line.trim().is_empty() => {}
                Err(why) => damaged.push(Damaged {
                    file: file.display().to_string(),
                    line: number,
                    why: sanitize_name(&why),
                }),
            }
        })?;
    }
    let known = histories.known.clone();
    let report = histories.report(damaged);
    // Report.
    write(ui, args.html.as_deref(), || html::page(&report))?;
    write(ui, args.markdown.as_deref(), || markdown::text(&report))?;
    ui.document(&report)?;
    if args.html.is_none() && args.markdown.is_none() {
        let size = console::Term::stdout().size_checked();
        plot::print(ui, &report, Screen::new(size.map(|(_, columns)| usize::from(columns))));
    } else {
        html::notes(&report).iter().for_each(|note| ui.warn(note));
    }
    for host in &report.missing {
        if let Some(near) = nearest(host, known.iter().map(String::as_str)) {
            ui.warn(format!("did you mean {near}? It has results"));
        }
    }
    Ok(Outcome::from_ok(report.ok))
}

/// Returns the folders with results: the flake's bench/ and xtask's own folder, which has those of
/// `local` and of remote flakes. With --testbed only those of the testbed.
fn folders(args: &ReportArgs, global: &Global) -> Result<Vec<PathBuf>> {
    if let Some(folder) = &args.record {
        if !folder.is_dir() {
            bail!("--record {} is not a folder", folder.display());
        }
        return Ok(vec![folder.clone()]);
    }
    let (reference, root) = match &global.flake {
        Some(reference) => (reference.clone(), local_root(reference)),
        None => {
            let root = paths::repository_root()?;
            (root.to_str().context("the repository's path is not UTF-8")?.to_owned(), Some(root))
        }
    };
    let home = paths::home()?;
    let private = |revision| results_file::private_folder(&home, &reference, revision);
    if global.testbed.is_some() {
        // Of all revisions, since a report shows results over time.
        let revisions = TestbedRevision::value_variants().iter();
        return Ok(revisions.map(|revision| private(Some(revision.name()))).collect());
    }
    Ok(root.map(|root| root.join("bench")).into_iter().chain([private(None)]).collect())
}

fn is_stdout(file: &Path) -> bool {
    file.as_os_str() == STDOUT
}

fn write(ui: &Ui, file: Option<&Path>, make: impl FnOnce() -> String) -> Result<()> {
    match file {
        None => {}
        Some(file) if is_stdout(file) => ui.verbatim(make().trim_end()),
        Some(file) => {
            files::write_atomically(file, outgoing(make().into()).as_bytes())?;
            ui.status(format!("wrote {}", file.display()));
        }
    }
    Ok(())
}

/// Returns each HOST.jsonl of a folder, sorted by name; none if there is no such folder.
fn results_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = vec![];
    for entry in WalkDir::new(folder).min_depth(1).max_depth(1).sort_by_file_name() {
        let file = match entry {
            Err(error) if error.io_error().is_some_and(|it| it.kind() == ErrorKind::NotFound) => {
                continue;
            }
            entry => {
                entry.with_context(|| format!("cannot read {}", folder.display()))?.into_path()
            }
        };
        if file.extension().is_some_and(|extension| extension == "jsonl") && file.is_file() {
            found.push(file);
        }
    }
    Ok(found)
}
