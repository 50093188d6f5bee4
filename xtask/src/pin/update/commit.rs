//! The first and last steps of an update: checks whether the update could be applied and committed;
//! applies and commits it, or saves the rejected lock file.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::findings::finding::Finding;
use crate::fleet::pinned_hosts::{PinnedHosts, PinnedHostsFile};
use crate::fleet::state_file::{self, BUILD_NUMBERS, PINNED_HOSTS, StateFile};
use crate::nix::flake_input::{Revision, short};
use crate::nix::lockfile::{Input, LockFile};
use crate::pin::args::UpdateArgs;
use crate::pin::journal::{self, Entry};
use crate::pin::lock_transaction::{self, Replacement};
use crate::pin::update::report::{LockState, Stage};
use crate::pin::update::{Update, message};
use crate::system::resources::now;
use crate::system::{disk, files, git, interrupt};
use crate::upstream::trial_fleet::PinState;

pub const LOCK: &str = "flake.lock";

/// Returns the files that an update writes or moves.
fn written() -> Vec<&'static str> {
    [&[LOCK], &state_file::PATHS[..]].concat()
}

/// Number of rejected updates to keep for each fleet, with their logs.
const REJECTED_KEPT: usize = 20;

/// Checks conditions that would otherwise fail hours later, at the end of the update.
///
/// # Errors
/// flake.lock cannot be written. A [`Finding`] if the update cannot be committed, or flake.lock was
/// edited.
pub fn precondition(pin: &PinState<'_>, args: &UpdateArgs) -> Result<()> {
    let root = &pin.root;
    if args.dry_run {
        return Ok(());
    }
    lock_transaction::can_write(&root.join(LOCK))?;
    let entries = journal::read(&pin.context.home, root)?;
    if args.commit {
        if let Some((why, help)) = git::cannot_commit(root) {
            bail!(Finding::error("cannot-commit", why, help));
        }
        let staged = git::staged(root);
        if !staged.is_empty() {
            bail!(Finding::error(
                "cannot-commit",
                format!("files are already staged: {}", staged.join(", ")),
                "commit or unstage them (`git restore --staged .`): the update commits only its \
                 own changes",
            ));
        }
        let mut changed = written();
        changed.retain(|file| {
            !git::changed(root, &[file]).is_empty() && !is_interrupted(root, file, entries.last())
        });
        if !changed.is_empty() {
            bail!(Finding::error(
                "cannot-commit",
                format!("{} has uncommitted changes", changed.join(" and ")),
                "commit them first, or drop --commit",
            ));
        }
    }
    edited(pin, &entries).map_or(Ok(()), |finding| bail!(finding))
}

/// Returns whether an update left the file in this state because it was interrupted before it
/// renamed flake.lock. The next update replaces such a file.
fn is_interrupted(root: &Path, file: &str, last: Option<&Entry>) -> bool {
    let states = [&BUILD_NUMBERS, &PINNED_HOSTS];
    let Ok(text) = files::read(&root.join(file)) else {
        return states.iter().any(|state| state.old == file);
    };
    let is_written = |entry: &Entry| entry.files.get(file) == Some(&text);
    let is_created = || file == PINNED_HOSTS.name && text == PinnedHostsFile::default().print();
    let is_moved = |state: &&StateFile| {
        state.name == file && git::committed(root, state.old).as_ref() == Some(&text)
    };
    last.is_some_and(is_written)
        || git::committed(root, file).is_none() && is_created()
        || states.iter().any(is_moved)
}

/// Reports a change of the input in flake.lock that is not committed and was not made by an update.
fn edited(pin: &PinState<'_>, entries: &[Entry]) -> Option<Finding> {
    let committed = LockFile::parse(&git::committed(&pin.root, LOCK)?).ok()?;
    let name = &pin.input.name;
    let (was, now) = (committed.find(name).ok()?, fleet_input(pin)?);
    if was.locked() == now.locked() {
        return None;
    }
    let by_update = |entry: &Entry| entry.input == *name && Some(&*entry.to.rev) == now.rev();
    if entries.iter().any(by_update) {
        return None;
    }
    let revision = |input: &Input| short(input.rev().unwrap_or("no revision")).to_owned();
    Some(Finding::error(
        "edited-lock",
        format!(
            "flake.lock has {name} at {}, the last commit at {}: it was changed, and not by \
             `xtask update`",
            revision(&now),
            revision(&was)
        ),
        "keep the change with `git commit flake.lock` or drop it with `git checkout flake.lock`, \
         then update",
    ))
}

/// Returns the input in the fleet's flake.lock, also with the testbed.
fn fleet_input(pin: &PinState<'_>) -> Option<Input> {
    let lock = LockFile::parse(&files::read(&pin.root.join(LOCK)).ok()?).ok()?;
    lock.find(&pin.input.name).ok()
}

impl Update<'_> {
    /// Applies the trial fleet's lock file to the fleet, and commits it if requested.
    pub fn apply(&mut self, pinned: PinnedHosts) -> Result<()> {
        interrupt::check()?;
        let (pin, report) = (self.pin, &mut self.report);
        let has_pin = || fleet_input(pin).as_ref().and_then(Input::rev) == Some(&*pin.now.rev);
        if pin.context.in_testbed() && !has_pin() {
            report.findings.push(Finding::note(
                "testbed-dry-run",
                "dry run: with --testbed, stand-ins replace what flake.lock names, so flake.lock \
                 is left alone",
                "run without --testbed to update the real inputs",
            ));
            return Ok(());
        }
        step(pin, &self.trial.lock, &self.trial.revision, pinned)?;
        if !report.stays() {
            report.lock = LockState::Updated;
        }
        if self.args.commit { self.commit() } else { Ok(()) }
    }

    fn commit(&mut self) -> Result<()> {
        let (pin, report) = (self.pin, &mut self.report);
        let name = format!("{}.message", files::path_name(&pin.root));
        let file = pin.context.home.join("updates").join(name);
        files::write_atomically(&file, message::commit(report).as_bytes())?;
        let mut files = written();
        files.retain(|file| git::tracked(&pin.root, file).is_ok_and(|found| !found.is_empty()));
        match git::commit(&pin.root, &files, &file) {
            Ok(commit) => {
                report.commit = Some(commit);
                disk::remove(&file)?;
            }
            Err(error) => {
                let finding = Finding::error(
                    "not-committed",
                    format!("the files are updated, but Git could not commit them: {error:#}"),
                    format!("git commit --file {} -- {}", file.display(), files.join(" ")),
                );
                report.fail(Stage::Commit, finding);
            }
        }
        Ok(())
    }

    /// Saves the rejected lock file with the report and the logs.
    pub fn save_rejected(&mut self) {
        let (pin, trial, report) = (self.pin, &self.trial, &mut self.report);
        let name = format!("{}-{}", now(), short(&trial.revision.rev));
        let all = pin.context.home.join("refused").join(files::path_name(&pin.root));
        let folder = all.join(name);
        let mut save = || -> Result<()> {
            disk::create(&folder.join("logs"))?;
            files::write_atomically(&folder.join(LOCK), trial.lock.print().as_bytes())?;
            for finding in report.hosts.iter_mut().flat_map(|host| &mut host.findings) {
                save_log(finding, &folder.join("logs"));
            }
            report.refused = Some(folder.display().to_string());
            let text = serde_json::to_string_pretty(report).context("cannot print the report")?;
            files::write_atomically(&folder.join("report.json"), text.as_bytes())
        };
        if let Err(error) = save() {
            let ui = &pin.context.ui;
            ui.warn(format!("warning: cannot save the rejected lock file: {error:#}"));
        }
        files::prune(&all, REJECTED_KEPT, Duration::ZERO, |_| true);
    }
}

/// Moves the input to the revision `to`, which it has in `lock`, and records the step in the
/// journal. `pinned` are the hosts that stay at an earlier revision.
///
/// # Errors
/// flake.lock changed meanwhile, or cannot be written. No file was replaced.
pub fn step(pin: &PinState<'_>, lock: &LockFile, to: &Revision, pinned: PinnedHosts) -> Result<()> {
    let file = pin.root.join(LOCK);
    let before = files::read(&file)?;
    let lock_before = LockFile::parse(&before).context("flake.lock is not JSON")?;
    let input = match lock_before.find(&pin.input.name) {
        Ok(input) if input.rev() == Some(pin.now.rev.as_str()) => input,
        _ => bail!("flake.lock changed while the update ran and was left alone"),
    };
    let after = match lock_before.with_updated_input(lock, &input) {
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
        let pinned: Vec<Revision> = pinned.hosts().map(|(_, host)| host.revision()).collect();
        let after = numbers.with(pinned.iter().chain([&pin.now, to])).print();
        replacements.push(Replacement { file, before, after });
    }
    let pinned_file = pin.root.join(PINNED_HOSTS.name);
    if pinned_file.exists() || !pinned.is_empty() {
        let before = Some(tracked(pin, &pinned_file)?);
        replacements.push(Replacement { file: pinned_file, before, after: pinned.print() });
    }
    let texts = replacements.iter().filter_map(|Replacement { file, after, .. }| {
        Some((file.file_name()?.to_str()?.to_owned(), after.clone()))
    });
    let written = texts.collect();
    // flake.lock is last: the other two files have entries for both revisions, so its rename
    // completes the step. If hosts are only unpinned, the rename of pinned_hosts.json does.
    if pin.now.rev != to.rev {
        replacements.push(Replacement { file, before: Some(before), after });
    }
    let entry = Entry {
        time: now(),
        input: pin.input.name.clone(),
        from: pin.now.clone(),
        to: to.clone(),
        lock: lock_before,
        pinned_hosts: pin.pinned_hosts(),
        files: written,
    };
    if entry.from.rev != entry.to.rev {
        journal::append(&pin.context.home, &pin.root, &entry)?;
    }
    lock_transaction::apply(&replacements)
}

/// Returns the text of pinned_hosts.json. Creates it empty if it does not exist, and adds it to
/// Git: Nix does not see untracked files.
fn tracked(pin: &PinState<'_>, file: &Path) -> Result<String> {
    if !file.exists() {
        files::write_atomically(file, PinnedHostsFile::default().print().as_bytes())?;
    }
    if git::is_repository(&pin.root) && git::tracked(&pin.root, PINNED_HOSTS.name)?.is_empty() {
        git::intend_to_add(&pin.root, &[Path::new(PINNED_HOSTS.name)])?;
    }
    files::read(file)
}

/// Copies the log that a finding's help names, because the next run may overwrite it. The help then
/// names the copy.
fn save_log(finding: &mut Finding, folder: &Path) {
    let Some(log) = log_in(&finding.help) else { return };
    let Some(name) = Path::new(&log).file_name() else { return };
    let copy = folder.join(name);
    if fs::copy(&log, &copy).is_ok() {
        finding.help = finding.help.replace(&log, &copy.display().to_string());
    }
}

/// Returns the file that a help text names as `log: FILE.log` or `trace: FILE.log`.
fn log_in(help: &str) -> Option<String> {
    let after = |mark| help.split_once(mark).map(|(_, rest)| rest);
    let rest = after("log: ").or_else(|| after("trace: "))?;
    Some(rest[..rest.rfind(".log")?].to_owned() + ".log")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_that_a_help_text_names_is_found() {
        let log = |help| log_in(help).unwrap_or_default();
        assert_eq!(log("full log: /home/a b/log/x.log"), "/home/a b/log/x.log");
        assert_eq!(log("check the spelling (trace: /c/x.log)"), "/c/x.log");
        assert_eq!(log("run again with -v"), "");
    }
}
