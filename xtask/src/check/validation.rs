//! What `check` examines beside evaluation: flake.lock, pinned hosts, and files that Git hides
//! from Nix. Read during the evaluation, so that it costs no time.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::Value;

use crate::check::lock_rules;
use crate::check::outcomes::Outcomes;
use crate::findings::finding::Finding;
use crate::fleet::context::{Context, local_root};
use crate::fleet::names::HostName;
use crate::fleet::pinned_hosts::{PinnedHosts, PinnedHostsFile};
use crate::fleet::state_file::{self, PINNED_HOSTS};
use crate::nix::flake;
use crate::nix::lockfile::LockFile;
use crate::system::{files, git};

/// The folders whose .nix files a fleet imports. Elsewhere, an untracked file may be a draft.
const IMPORTED: [&str; 6] = ["home", "hosts", "machines", "modules", "nixos", "overlays"];

/// What was seen of the fleet as a whole.
#[derive(Default)]
pub struct Seen {
    pub findings: Vec<Finding>,
    /// What the evaluation is locked to: with `--testbed` not the fleet's own file.
    lock: Option<LockFile>,
    pinned_file: PinnedHostsFile,
    /// Where that file is.
    pinned_path: &'static str,
}

impl Seen {
    /// The hosts that are pinned to an earlier llama.cpp.
    fn pinned_hosts(&self) -> PinnedHosts {
        let revisions = self.lock.iter().flat_map(LockFile::revisions);
        revisions.flat_map(|rev| self.pinned_file.at(rev)).collect()
    }

    /// The findings about single hosts: a package that is not of the locked llama.cpp, and a
    /// reminder of each pinned host.
    pub fn of_hosts(&self, outcomes: &Outcomes) -> Vec<(HostName, Finding)> {
        let pinned_hosts = self.pinned_hosts();
        let package = |(host, selection): (&HostName, _)| {
            let lock = self.lock.as_ref()?;
            let finding = lock_rules::package(lock, selection, pinned_hosts.get(host))?;
            Some((host.clone(), finding))
        };
        let selected = outcomes.selected().map(|(host, selection)| (host, &selection.manifest));
        let mut findings: Vec<_> = selected.filter_map(package).collect();
        findings.extend(
            pinned_hosts
                .iter()
                .map(|(host, pinned)| (host.clone(), pinned.reminder().at(self.pinned_path))),
        );
        findings
    }
}

/// Reads flake.lock. To be called before anything evaluates the flake, which may write it.
pub fn own_lock(context: &Context) -> Option<String> {
    files::read(&root(context)?.join("flake.lock")).ok()
}

pub fn look(context: &Context, own_lock: Option<&str>) -> Seen {
    let Some(root) = root(context) else {
        let lock = context.flake.locks().map(LockFile::new);
        let findings = lock.as_ref().map(|lock| lock_rules::judge(lock, &Value::Null, ""));
        return Seen { findings: findings.unwrap_or_default(), lock, ..Seen::default() };
    };
    let own = own_lock.and_then(|text| LockFile::parse(text).ok());
    let lent = if context.in_testbed() { evaluated_lock(context) } else { None };
    let inputs = flake::inputs(&context.flake.nix, &root);
    let text = files::read(&root.join("flake.nix")).unwrap_or_default();
    let mut findings = match (&own, own_lock) {
        (Some(own), _) => lock_rules::judge(own, &inputs, &text),
        (None, Some(_)) => vec![lock_rules::unreadable()],
        // The testbed has made a lock file of its own.
        (None, None) if lent.is_some() => vec![],
        (None, None) if inputs.as_object().is_some_and(|inputs| !inputs.is_empty()) => {
            vec![lock_rules::absent()]
        }
        (None, None) => vec![],
    };
    // `path:` takes the whole folder, tracked or not.
    if !context.flake.reference.starts_with("path:") {
        findings.extend(untracked(&root));
        findings.extend(git::hidden_edits(&root).into_iter().map(lock_rules::hidden_edit));
    }
    let lock = lent.or(own);
    let pinned_path = PINNED_HOSTS.path(&root);
    let pinned_file = read_pinned_hosts(&root).unwrap_or_else(|error| {
        let finding = lock_rules::unreadable_pinned_hosts(&format!("{error:#}"));
        findings.push(finding.at(pinned_path));
        PinnedHostsFile::default()
    });
    if !pinned_file.is_empty() {
        let elsewhere =
            lock.iter().flat_map(|lock| lock_rules::pinned_elsewhere(lock, &pinned_file));
        findings.extend(elsewhere.map(|finding| finding.at(pinned_path)));
        let locked = lock.as_ref().map(LockFile::revisions).unwrap_or_default();
        // Why the flake does not list its hosts is reported with its evaluation.
        if let Ok(known) = context.all_hosts() {
            let judged = pinned_file.judge(&locked, known);
            findings.extend(judged.into_iter().map(|finding| finding.at(pinned_path)));
        }
    }
    Seen { findings, lock, pinned_file, pinned_path }
}

fn read_pinned_hosts(root: &Path) -> Result<PinnedHostsFile> {
    let text = PINNED_HOSTS.read(root)?;
    Ok(text.map(|text| PinnedHostsFile::read(&text)).transpose()?.unwrap_or_default())
}

/// The hosts that are pinned to an earlier llama.cpp, as far as that is known.
pub fn pinned_hosts(context: &Context) -> PinnedHosts {
    let read = || {
        let pinned_file = read_pinned_hosts(&root(context)?).ok()?;
        Some(Seen { lock: evaluated_lock(context), pinned_file, ..Seen::default() })
    };
    read().unwrap_or_default().pinned_hosts()
}

/// flake.lock, or the testbed's in its place.
pub fn evaluated_lock(context: &Context) -> Option<LockFile> {
    LockFile::parse(&files::read(&context.lock_file()?).ok()?).ok()
}

fn root(context: &Context) -> Option<PathBuf> {
    local_root(&context.flake.reference)
}

fn untracked(root: &Path) -> Vec<Finding> {
    // Outside Git, Nix takes the whole folder too.
    let Ok(mut files) = git::untracked(root, "*.nix") else { return vec![] };
    files.retain(|file| file.split_once('/').is_some_and(|(folder, _)| IMPORTED.contains(&folder)));
    for file in ["flake.lock"].iter().chain(&state_file::PATHS) {
        files.extend(git::untracked(root, file).unwrap_or_default());
    }
    files.into_iter().map(lock_rules::untracked).collect()
}
