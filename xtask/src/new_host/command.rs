//! `new-host`: adds a host with files that are generated from its machine's facts.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::Serialize;

use crate::findings::finding::{Finding, or_finding};
use crate::findings::outcome::Outcome;
use crate::findings::view::print as print_finding;
use crate::fleet::args::Global;
use crate::fleet::context::local_root;
use crate::hardware::recommendation::Recommendation;
use crate::hardware::{probe, probe_output};
use crate::new_host::args::NewHostArgs;
use crate::new_host::configuration;
use crate::new_host::files::{has_row, name_problem, system, with_row};
use crate::new_host::machine::Machine;
use crate::system::{disk, files, git, paths};
use crate::target::Target;
use crate::target::selection::ssh_options;
use crate::ui::Ui;

const TABLE: &str = "hosts/default.nix";
/// A file in a host's folder until the host is in the table.
const MARKER: &str = ".new-host";
const SCRIPT: &str = include_str!("machine.sh");
const TIMEOUT: Duration = Duration::from_secs(120);

/// A file to write: its path in the flake's folder, and its content.
type NewFile = (PathBuf, String);

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct NewHostReport<'a> {
    schema: u32,
    command: &'static str,
    host: &'a str,
    dry_run: bool,
    /// Paths in the flake's folder.
    files: Vec<PathBuf>,
    /// `--dry-run`: the content of each file.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    contents: BTreeMap<String, String>,
    findings: Vec<Finding>,
    ok: bool,
    /// Whether Git tracks the files.
    #[serde(skip)]
    is_tracked: bool,
}

pub fn run(args: &NewHostArgs, global: &Global, ui: &Ui) -> Result<Outcome> {
    let name = &args.name;
    let mut report = NewHostReport {
        schema: 1,
        command: "new-host",
        host: name,
        dry_run: args.dry_run,
        ok: true,
        ..NewHostReport::default()
    };
    if let Err(finding) = or_finding(add(args, global, &mut report))? {
        report.findings = vec![finding];
        report.ok = false;
    }
    ui.document(&report)?;
    for file in &report.files {
        let file = file.display().to_string();
        match report.contents.get(&file) {
            Some(text) => ui.verbatim(&format!("{}\n{text}", ui.bold(&file))),
            None => ui.result(file),
        }
    }
    report.findings.iter().for_each(|finding| print_finding(ui, name, finding));
    if report.ok && !args.dry_run {
        let add = match report.is_tracked {
            true => "",
            false => "`git add hosts` if this is a Git repository; ",
        };
        ui.status(format!(
            "\nread hosts/{name}/default.nix, then: {add}`cargo xtask check {name} --full`, `cargo \
             xtask build-all {name}`, `cargo xtask bench {name}`"
        ));
    }
    Ok(Outcome::new(report.ok, &report.findings))
}

/// Adds the host and fills the report. Writes nothing in a dry run.
fn add(args: &NewHostArgs, global: &Global, report: &mut NewHostReport) -> Result<()> {
    // Discover.
    let root = match &global.flake {
        Some(reference) => {
            local_root(reference).with_context(|| format!("{reference} is not a local flake"))?
        }
        None => paths::repository_root()?,
    };
    let name = &args.name;
    if let Some(problem) = name_problem(name) {
        bail!("invalid host name {name:?}: {problem}");
    }
    let lock = lock(&root)?;
    let table = readable_table(&root, name)?;
    drop(lock);
    let target = match &args.from {
        Some(destination) => Target::ssh(destination, ssh_options())?,
        None => Target::Local,
    };
    let facts = probe::from_machine(name, &target, None)?;
    let machine = read_machine(&target)?;
    // Plan.
    let destination = args.target.as_ref().or(args.from.as_ref()).unwrap_or(name);
    let with_host = |table: &str| {
        with_row(table, name, system(&facts), destination)
            .with_context(|| format!("cannot add a row to {TABLE}"))
    };
    let folder = Path::new("hosts").join(name);
    let mut new = vec![(folder.join("facts.json"), facts.to_json()?)];
    let files = configuration::files(&facts, &Recommendation::new(&facts), &machine);
    new.extend(files.into_iter().map(|(name, text)| (folder.join(name), text)));
    // Run.
    report.files = new.iter().map(|(file, _)| file.clone()).collect();
    report.files.push(PathBuf::from(TABLE));
    if args.dry_run {
        new.push((PathBuf::from(TABLE), with_host(&table)?));
        let contents = new.into_iter().map(|(file, text)| (file.display().to_string(), text));
        report.contents = contents.collect();
    } else {
        report.is_tracked = write(&root, name, &new, &with_host)?;
    }
    report.findings = probe_output::unknown(&facts);
    report.findings.extend(uncertain(name, &machine));
    Ok(())
}

/// Takes the fleet's lock, which makes other runs of new-host wait until it is dropped.
fn lock(root: &Path) -> Result<File> {
    if !root.join(TABLE).is_file() {
        bail!(
            "{} has no {TABLE} to add the host to: `cargo xtask probe --local` prints its \
             options, and `nix flake init -t` creates a fleet that has one",
            root.display()
        );
    }
    // Not the lock of hosts/, which is taken while a file in it is replaced.
    let lock = File::open(root).and_then(|file| file.lock().map(|()| file));
    lock.with_context(|| format!("cannot lock {}", root.display()))
}

/// Writes the new files, and then the table with the host, whose rename adds the host. Until then
/// the folder has [`MARKER`], so that the next run replaces the files of a killed run. Returns
/// whether Git tracks the files.
fn write(
    root: &Path,
    name: &str,
    new: &[NewFile],
    with_host: &dyn Fn(&str) -> Result<String>,
) -> Result<bool> {
    let _lock = lock(root)?;
    // The table may have changed while the machine was read.
    let table = with_host(&readable_table(root, name)?)?;
    let folder = root.join("hosts").join(name);
    disk::create(&folder)?;
    let write_all = || -> Result<bool> {
        files::write_atomically(&folder.join(MARKER), b"")?;
        for (file, text) in new {
            files::write_atomically(&root.join(file), text.as_bytes())?;
        }
        // A flake contains only files that Git tracks.
        let files = new.iter().map(|(file, _)| file.as_path()).chain([Path::new(TABLE)]);
        let is_tracked = git::is_repository(root)
            && git::intend_to_add(root, &files.collect::<Vec<_>>()).is_ok();
        files::write_atomically(&root.join(TABLE), table.as_bytes())?;
        Ok(is_tracked)
    };
    let is_tracked = write_all();
    match is_tracked {
        Ok(_) => disk::remove(&folder.join(MARKER))?,
        Err(_) => drop(fs::remove_dir_all(&folder)),
    }
    is_tracked
}

/// Returns the table's content, if the host can be added. Removes the files of a killed run.
fn readable_table(root: &Path, name: &str) -> Result<String> {
    let table = files::read(&root.join(TABLE))?;
    let folder = root.join("hosts").join(name);
    let marker = folder.join(MARKER);
    if marker.exists() {
        // If the table has the row, the run was killed after its last rename.
        disk::remove(if has_row(&table, name) { &marker } else { &folder })?;
    }
    if folder.exists() {
        bail!("hosts/{name} already exists; `cargo xtask probe {name}` reads that machine again");
    }
    if with_row(&table, name, "", "").is_none() {
        bail!("{TABLE} is not a plain table: add the row for {name} by hand");
    }
    Ok(table)
}

fn read_machine(target: &Target) -> Result<Machine> {
    let (exit, printed) = target.read(&["sh", "-c", SCRIPT], TIMEOUT)?;
    Machine::read(&printed.stdout)
        .with_context(|| format!("cannot read the settings of {} ({exit})", target.name()))
}

/// Reports what the user has to check before the host is installed.
fn uncertain(name: &str, machine: &Machine) -> Vec<Finding> {
    let file = format!("hosts/{name}/default.nix");
    let loader = if machine.release.is_none() {
        Some(Finding::warning(
            "not-nixos",
            format!("{name} does not run NixOS, so its partitions and its boot loader are a guess"),
            "install NixOS on it, for example with nixos-anywhere, and correct what the file says of them",
        ))
    } else if machine.loader.is_none() && !machine.nixos.files.contains_key("configuration.nix") {
        Some(Finding::warning(
            "no-boot-loader",
            format!("cannot find the boot loader of {name}"),
            "set the one that the machine has",
        ))
    } else {
        None
    };
    let keys = (!machine.has_keys()).then(|| {
        Finding::warning(
            "no-ssh-key",
            format!("no account of {name} has an SSH key that could be read"),
            "add users.users.NAME.openssh.authorizedKeys.keys, or nobody can log in to the installed host",
        )
    });
    loader.into_iter().chain(keys).map(|finding| finding.at(&*file)).collect()
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::target::sshd::LoopbackSshd;

    /// Simulates a kill before each of the renames, and after the last one.
    #[test]
    fn the_files_of_a_killed_run_are_replaced() {
        let files = ["hosts/box/facts.json", "hosts/box/default.nix", "hosts/box/disks.nix", TABLE];
        for killed_after in 0..=files.len() {
            let scratch = tempfile::tempdir().unwrap();
            let root = scratch.path();
            let folder = root.join("hosts/box");
            fs::create_dir_all(&folder).unwrap();
            fs::write(root.join(TABLE), "{\n}\n").unwrap();
            let table = with_row("{\n}\n", "box", "x86_64-linux", "box").unwrap();
            let text = |file: &str| if file == TABLE { table.clone() } else { "{ }\n".to_owned() };
            let written = files.map(|file| (PathBuf::from(file), text(file)));
            fs::write(folder.join(MARKER), "").unwrap();
            for (file, text) in &written[..killed_after] {
                fs::write(root.join(file), text).unwrap();
            }
            let again = write(root, "box", &written[..3], &|_| Ok(table.clone()));
            if killed_after == files.len() {
                assert!(again.unwrap_err().to_string().contains("already exists"));
            } else {
                again.unwrap();
            }
            for (file, text) in &written {
                assert_eq!(&fs::read_to_string(root.join(file)).unwrap(), text, "{killed_after}");
            }
            assert_eq!(fs::read_dir(&folder).unwrap().count(), 3, "{killed_after}");
        }
    }

    /// Both runs read the table before either writes it.
    #[test]
    fn two_hosts_can_be_added_concurrently() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path();
        fs::create_dir(root.join("hosts")).unwrap();
        fs::write(root.join(TABLE), "{\n}\n").unwrap();
        thread::scope(|scope| {
            for name in ["one", "two"] {
                readable_table(root, name).unwrap();
                scope.spawn(move || {
                    let with_host =
                        |table: &str| with_row(table, name, "x86_64-linux", name).context("none");
                    write(root, name, &[], &with_host).unwrap();
                });
            }
        });
        let table = fs::read_to_string(root.join(TABLE)).unwrap();
        assert!(has_row(&table, "one") && has_row(&table, "two"), "{table}");
    }

    #[test]
    fn a_machine_is_the_same_over_ssh() {
        let Some(sshd) = LoopbackSshd::start() else { return };
        let local = read_machine(&Target::Local).unwrap();
        assert!(!local.login.is_empty());
        assert_eq!(read_machine(&sshd.target(&[])).unwrap(), local);
    }
}
