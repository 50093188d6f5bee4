//! The two ends of an update: whether it could be taken at all, asked first; and taking
//! it, or keeping what was refused.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::findings::finding::Finding;
use crate::fleet::pinned_hosts::{PinnedHosts, PinnedHostsFile};
use crate::fleet::state_file::{self, BUILD_NUMBERS, PINNED_HOSTS};
use crate::nix::flake_input::{Revision, short};
use crate::nix::lockfile::{Input, LockFile};
use crate::pin::args::UpdateArgs;
use crate::pin::journal::Entry;
use crate::pin::journal_file;
use crate::pin::lock_transaction::{self, Replacement};
use crate::pin::update::message as update_message;
use crate::pin::update::report::{LockState, Stage, UpdateReport};
use crate::system::interrupt;
use crate::system::{disk, files, git};
use crate::upstream::trial_fleet::{PinState, TrialFleet};

pub const LOCK: &str = "flake.lock";

/// The files that an update writes or moves.
fn written() -> Vec<&'static str> {
    [&[LOCK], &state_file::PATHS[..]].concat()
}

/// Refused updates of one fleet that are kept, with their logs.
const REFUSED_KEPT: usize = 20;

/// What would keep the update from being taken, hours later.
///
/// # Errors
/// flake.lock cannot be written.
pub fn precondition(pin: &PinState<'_>, args: &UpdateArgs) -> Result<Option<Finding>> {
    let root = &pin.root;
    if args.dry_run {
        return Ok(None);
    }
    lock_transaction::can_write(&root.join(LOCK))?;
    if args.commit {
        if let Some((why, help)) = git::cannot_commit(root) {
            return Ok(Some(Finding::error("cannot-commit", why, help)));
        }
        let staged = git::staged(root);
        if !staged.is_empty() {
            return Ok(Some(Finding::error(
                "cannot-commit",
                format!("files are already staged: {}", staged.join(", ")),
                "commit or unstage them (`git restore --staged .`): the update commits only its \
                 own changes",
            )));
        }
        let changed = git::changed(root, &written());
        if !changed.is_empty() {
            return Ok(Some(Finding::error(
                "cannot-commit",
                format!("{} has uncommitted changes", changed.join(" and ")),
                "commit them first, or drop --commit",
            )));
        }
    }
    Ok(edited(pin))
}

/// An edit of the input in flake.lock that is neither committed nor an update's of ours.
fn edited(pin: &PinState<'_>) -> Option<Finding> {
    let committed = git::committed(&pin.root, LOCK)?;
    let committed = LockFile::parse(&committed).ok()?;
    let name = &pin.input.name;
    let was = committed.find(name).ok()?.locked().clone();
    let now = own_input(pin)?.locked().clone();
    if was == now {
        return None;
    }
    let rev = now["rev"].as_str();
    let entries = journal_file::read(&pin.context.home, &pin.root);
    if entries.iter().any(|entry| entry.input == *name && Some(entry.to.rev.as_str()) == rev) {
        return None;
    }
    let told = |locked: &Value| short(locked["rev"].as_str().unwrap_or("no revision")).to_owned();
    Some(Finding::error(
        "edited-lock",
        format!(
            "flake.lock has {name} at {}, the last commit at {}: it was changed, and not by \
             `xtask update`",
            told(&now),
            told(&was)
        ),
        "keep the change with `git commit flake.lock` or drop it with `git checkout flake.lock`, \
         then update",
    ))
}

/// The input in the fleet's own flake.lock.
fn own_input(pin: &PinState<'_>) -> Option<Input> {
    let own = LockFile::parse(&files::read(&pin.root.join(LOCK)).ok()?).ok()?;
    own.find(&pin.input.name).ok()
}

/// Makes the trial what the fleet has.
pub fn take(
    args: &UpdateArgs,
    pin: &PinState<'_>,
    trial: &TrialFleet,
    pinned: PinnedHosts,
    report: &mut UpdateReport,
) -> Result<()> {
    interrupt::check()?;
    let own = own_input(pin).map(|input| input.node["locked"]["rev"].clone());
    if own.as_ref().and_then(Value::as_str) != Some(pin.now.rev.as_str()) {
        report.findings.push(Finding::note(
            "rehearsal",
            "dry run: with --testbed, stand-ins replace what flake.lock names, so flake.lock is \
             left alone",
            "run without --testbed to update the real inputs",
        ));
        return Ok(());
    }
    step(pin, &trial.lock, &trial.revision, pinned)?;
    if !report.stays() {
        report.lock = LockState::Updated;
    }
    if args.commit {
        commit(pin, report)?;
    }
    Ok(())
}

/// One step of the input, written down and taken. `lock` has the input where it goes to,
/// `pinned` the hosts that stay at an earlier revision.
///
/// # Errors
/// Nothing was replaced: flake.lock changed meanwhile, or cannot be written.
pub fn step(pin: &PinState<'_>, lock: &LockFile, to: &Revision, pinned: PinnedHosts) -> Result<()> {
    let file = pin.root.join(LOCK);
    let before = files::read(&file)?;
    let own = LockFile::parse(&before).context("flake.lock is not JSON")?;
    let input = match own.find(&pin.input.name) {
        Ok(input) if input.rev() == Some(pin.now.rev.as_str()) => input,
        _ => bail!("flake.lock changed while the update ran and was left alone"),
    };
    let after = match own.graft(lock, &input) {
        Ok(after) => after.print(),
        Err(moved) => bail!(
            "flake.lock changed while the update ran ({}) and was left alone",
            moved.join(", ")
        ),
    };
    let pinned = pin.pinned_file.step(&pin.now.rev, &to.rev, pinned);
    BUILD_NUMBERS.move_to_root(&pin.root)?;
    PINNED_HOSTS.move_to_root(&pin.root)?;
    let mut replacements = vec![];
    if let Some(numbers) = &pin.build_numbers {
        let file = pin.root.join(BUILD_NUMBERS.name);
        let before = files::read(&file).ok();
        let pinned: Vec<Revision> = pinned.revisions().collect();
        let after = numbers.with(pinned.iter().chain([&pin.now, to])).print();
        replacements.push(Replacement { file, before, after });
    }
    let pinned_file = pin.root.join(PINNED_HOSTS.name);
    if pinned_file.exists() || !pinned.is_empty() {
        let before = Some(tracked(pin, &pinned_file)?);
        replacements.push(Replacement { file: pinned_file, before, after: pinned.print() });
    }
    // Last: the other two files have the entries of both revisions, so this rename is the
    // step. If hosts are only unpinned, pinned_hosts.json's is the step.
    if pin.now.rev != to.rev {
        replacements.push(Replacement { file, before: Some(before), after });
    }
    let entry = Entry {
        time: now(),
        input: pin.input.name.clone(),
        from: pin.now.clone(),
        to: to.clone(),
        lock: own,
        pinned_hosts: pin.pinned_hosts(),
    };
    if entry.from.rev != entry.to.rev {
        journal_file::append(&pin.context.home, &pin.root, &entry)?;
    }
    lock_transaction::apply(&replacements)
}

/// Returns the text of pinned_hosts.json, created empty and made known to Git if it is new:
/// Nix does not see a file that Git does not track.
fn tracked(pin: &PinState<'_>, file: &Path) -> Result<String> {
    if !file.exists() {
        files::write_atomically(file, PinnedHostsFile::default().print().as_bytes())?;
    }
    if git::is_repository(&pin.root) && git::tracked(&pin.root, PINNED_HOSTS.name)?.is_empty() {
        git::intend_to_add(&pin.root, &[Path::new(PINNED_HOSTS.name)])?;
    }
    files::read(file)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

fn commit(pin: &PinState<'_>, report: &mut UpdateReport) -> Result<()> {
    let folder = pin.context.home.join("updates");
    let file = folder.join(format!("message-{}", std::process::id()));
    files::write_atomically(&file, update_message::commit(report).as_bytes())?;
    let mut files = written();
    files.retain(|file| git::tracked(&pin.root, file).is_ok_and(|found| !found.is_empty()));
    match git::commit(&pin.root, &files, &file) {
        Ok(commit) => {
            report.commit = Some(commit);
            disk::remove(&file)?;
        }
        Err(error) => {
            report.fail_at(Stage::Commit);
            report.findings.push(Finding::error(
                "not-committed",
                format!("the files are updated, but Git could not commit them: {error:#}"),
                format!("git commit --file {} -- {}", file.display(), files.join(" ")),
            ));
        }
    }
    Ok(())
}

/// Keeps the lock that was refused, with the report and the logs, and names the folder.
pub fn save_rejected(pin: &PinState<'_>, trial: &TrialFleet, report: &mut UpdateReport) {
    let name = format!("{}-{}", now(), short(&trial.revision.rev));
    let folder = pin
        .context
        .home
        .join("refused")
        .join(files::safe_name(&pin.root.to_string_lossy()))
        .join(name);
    let mut kept = || -> Result<PathBuf> {
        disk::create(&folder.join("logs"))?;
        let lock = trial.lock.print();
        files::write_atomically(&folder.join(LOCK), lock.as_bytes())?;
        for host in &mut report.hosts {
            for finding in &mut host.findings {
                save_log(finding, &folder.join("logs"));
            }
        }
        report.refused = Some(folder.display().to_string());
        let text = serde_json::to_string_pretty(report).context("cannot print the report")?;
        files::write_atomically(&folder.join("report.json"), text.as_bytes())?;
        Ok(folder.clone())
    };
    let outcome = kept();
    if let Some(all) = folder.parent() {
        files::prune(all, REFUSED_KEPT, Duration::ZERO, |_| true);
    }
    if let Err(error) = outcome {
        let context = pin.context;
        context.ui.warn(format!("warning: cannot keep the rejected lock file: {error:#}"));
    }
}

/// The next run may write the same log: a copy stays, and the help names it.
fn save_log(finding: &mut Finding, folder: &Path) {
    let words = finding.help.split_whitespace();
    let mut paths = words.map(|word| word.trim_matches(|c| "();,".contains(c)));
    let Some(log) = paths.find(|word| word.starts_with('/') && word.ends_with(".log")) else {
        return;
    };
    let log = log.to_owned();
    let Some(name) = Path::new(&log).file_name() else { return };
    let copy = folder.join(name);
    if fs::copy(&log, &copy).is_ok() {
        finding.help = finding.help.replace(&log, &copy.display().to_string());
    }
}
