//! `probe`: reads a machine's hardware and recommends options of `programs.llama-cpp`.

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
    // Discover. Only the fleet's table needs Nix.
    let host = args.host.as_deref().unwrap_or(LOCAL);
    let root = match &global.flake {
        Some(reference) => local_root(reference),
        None => paths::repository_root().ok(),
    };
    // Plan: fails before any work if the facts cannot be written.
    let facts_file =
        if args.write { Some(facts_file(args, global, ui, root.as_deref())?) } else { None };
    // Run.
    let (target, facts) = match &args.facter {
        Some(file) => (file.display().to_string(), from_report(host, file)),
        None => match target(args, global, ui) {
            Ok(target) => (target.name().to_owned(), from_machine(host, &target, root.as_deref())),
            Err(error) => (host.to_owned(), Err(error)),
        },
    };
    let report = ProbeReport::new(host, &target, or_finding(facts)?);
    if let (Some(file), Some(facts)) = (facts_file, &report.facts) {
        disk::create(disk::folder_of(&file))?;
        files::write_atomically(&file, facts.to_json()?.as_bytes())?;
        ui.status(format!("wrote {}", file.display()));
    }
    // Report.
    ui.document(&report)?;
    view::print(ui, &report);
    Ok(Outcome::new(report.ok, &report.findings))
}

/// Returns the target of `--target`, of `--local`, or of the fleet's table.
fn target(args: &ProbeArgs, global: &Global, ui: &Ui) -> Result<Target> {
    match (&args.target, args.host.as_deref()) {
        (Some(destination), _) => Target::ssh(destination, ssh_options()),
        (None, Some(LOCAL)) => Ok(Target::Local),
        (None, _) if args.local => Ok(Target::Local),
        (None, Some(host)) => fleet_target(&Context::open(global, ui)?, host),
        (None, None) => bail!("name the host to probe, or pass --local for this machine"),
    }
}

/// Probes a machine.
///
/// # Errors
/// A [`Finding`] if it cannot be reached or its CPU is not supported.
pub fn from_machine(host: &str, target: &Target, root: Option<&Path>) -> Result<Facts> {
    let output = probe_script::run(target)?;
    let mut facts = probe_output::read(host, &output).map_err(|problem| {
        let help = "probe a Linux machine with an x86_64 or aarch64 CPU";
        Finding::error("unknown-machine", problem, help)
    })?;
    // A nixos-facter report has the names of cards without a driver.
    let report = root
        .zip(HostName::new(host).folder())
        .map(|(root, dir)| root.join(dir).join("facter.json"));
    if let Some(text) = report.and_then(|file| files::read(&file).ok()) {
        facter::name_gpus(&mut facts, &text);
    }
    Ok(facts)
}

/// Reads a nixos-facter report, for a machine that is off or not yet installed.
fn from_report(host: &str, file: &Path) -> Result<Facts> {
    Ok(facter::read(host, &files::read(file)?).map_err(|problem| {
        Finding::error(
            "bad-report",
            format!("cannot use {}: {problem}", file.display()),
            "create one on the machine: `sudo nix run nixpkgs#nixos-facter -- -o facter.json`",
        )
    })?)
}

/// Returns the path of hosts/NAME/facts.json, for a host of the fleet.
fn facts_file(args: &ProbeArgs, global: &Global, ui: &Ui, root: Option<&Path>) -> Result<PathBuf> {
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
