//! `probe`: what a machine is, and which options of `programs.llama-cpp` fit it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::findings::finding::{Finding, or_finding};
use crate::findings::outcome::Outcome;
use crate::fleet::args::Global;
use crate::fleet::context::{Context, local_root};
use crate::fleet::names::HostName;
use crate::hardware::args::ProbeArgs;
use crate::hardware::facts::Facts;
use crate::hardware::probe_output::{self, ProbeReport};
use crate::hardware::{facter, probe_script, view};
use crate::system::{disk, files, paths};
use crate::target::Target;
use crate::target::selection::{LOCAL, fleet_target, ssh_options};
use crate::ui::Ui;

pub fn run(args: &ProbeArgs, global: &Global, ui: &Ui) -> Result<Outcome> {
    // Discover. Without a fleet's help, no Nix is needed.
    let host = args.host.as_deref().unwrap_or(LOCAL);
    let root = match &global.flake {
        Some(reference) => local_root(reference),
        None => paths::repository_root().ok(),
    };
    // Plan: a refusal to write comes before any work.
    let place = if args.write { Some(place(args, global, ui, root.as_deref())?) } else { None };
    // Run.
    let (target, seen) = match &args.facter {
        Some(file) => (file.display().to_string(), from_report(host, file)),
        None => match target(args, global, ui) {
            Ok(target) => (target.name().to_owned(), from_machine(host, &target, root.as_deref())),
            Err(error) => (host.to_owned(), Err(error)),
        },
    };
    let report = ProbeReport::new(host, &target, or_finding(seen)?);
    if let (Some(file), Some(facts)) = (place, &report.facts) {
        disk::create(disk::folder_of(&file))?;
        files::write_atomically(&file, facts.to_json()?.as_bytes())?;
        ui.status(format!("wrote {}", file.display()));
    }
    // Report.
    ui.document(&report)?;
    view::print(ui, &report);
    Ok(Outcome::new(report.ok, &report.findings))
}

/// `--target`, `--local`, or the fleet table's.
fn target(args: &ProbeArgs, global: &Global, ui: &Ui) -> Result<Target> {
    match (&args.target, args.host.as_deref()) {
        (Some(destination), _) => Target::ssh(destination, ssh_options()),
        (None, Some(LOCAL)) => Ok(Target::Local),
        (None, _) if args.local => Ok(Target::Local),
        (None, Some(host)) => fleet_target(&Context::open(global, ui)?, host),
        (None, None) => bail!("name the host to probe, or pass --local for this machine"),
    }
}

/// What the machine is.
///
/// # Errors
/// A [`Finding`] if it cannot be reached or is of an unknown kind.
pub fn from_machine(host: &str, target: &Target, root: Option<&Path>) -> Result<Facts> {
    let answer = probe_script::look(target)?;
    let mut seen = probe_output::read(host, &answer).map_err(|problem| {
        let help = "probe a Linux machine with an x86_64 or aarch64 CPU";
        Finding::error("unknown-machine", problem, help)
    })?;
    // The report knows the names of cards that no driver names.
    let report = root
        .zip(HostName::new(host).folder())
        .map(|(root, dir)| root.join(dir).join("facter.json"));
    if let Some(text) = report.and_then(|file| files::read(&file).ok()) {
        facter::name_gpus(&mut seen, &text);
    }
    Ok(seen)
}

/// A report is read in the machine's place: for one that is off, or not yet installed.
fn from_report(host: &str, file: &Path) -> Result<Facts> {
    let facts = facter::read(host, &files::read(file)?).map_err(|problem| {
        Finding::error(
            "bad-report",
            format!("cannot use {}: {problem}", file.display()),
            "create one on the machine: `sudo nix run nixpkgs#nixos-facter -- -o facter.json`",
        )
    })?;
    Ok(facts)
}

/// hosts/NAME/facts.json of a host that the flake has.
fn place(args: &ProbeArgs, global: &Global, ui: &Ui, root: Option<&Path>) -> Result<PathBuf> {
    let Some(host) = &args.host else {
        bail!("--write needs the host's name: `cargo xtask probe --local NAME --write`");
    };
    let root =
        root.context("--write needs the fleet's own folder: its flake is not on this machine")?;
    let context = Context::open(global, ui)?;
    context.hosts(std::slice::from_ref(host))?;
    let folder = HostName::new(host)
        .folder()
        .with_context(|| format!("{host:?} is not a valid name for a folder under hosts/"))?;
    Ok(root.join(folder).join("facts.json"))
}
