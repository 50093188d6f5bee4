//! Validates what does not need an evaluation: flake.lock, pinned hosts, and files that Git hides
//! from Nix. It runs in parallel with the evaluation.

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

/// Folders whose .nix files a fleet imports. An untracked file elsewhere may be a draft.
const IMPORTED: [&str; 6] = ["home", "hosts", "machines", "modules", "nixos", "overlays"];

/// The result of validating the fleet as a whole.
#[derive(Default)]
pub struct Validation {
    pub findings: Vec<Finding>,
    /// The lock file that the evaluation uses: with `--testbed` not the fleet's own.
    lock: Option<LockFile>,
    pinned_file: PinnedHostsFile,
    pinned_path: &'static str,
}

impl Validation {
    /// Returns the hosts that are pinned to an earlier llama.cpp.
    fn pinned_hosts(&self) -> PinnedHosts {
        let revisions = self.lock.iter().flat_map(LockFile::revisions);
        revisions.flat_map(|rev| self.pinned_file.at(rev)).collect()
    }

    /// Returns findings about single hosts: a package that is not built from the locked llama.cpp,
    /// and a reminder of each pinned host.
    pub fn host_findings(&self, outcomes: &Outcomes) -> Vec<(HostName, Finding)> {
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

/// Reads flake.lock. Call it before the flake is evaluated, which may write it.
pub fn own_lock(context: &Context) -> Option<String> {
    files::read(&root(context)?.join("flake.lock")).ok()
}

pub fn validate(context: &Context, own_lock: Option<&str>) -> Validation {
    let Some(root) = root(context) else {
        let lock = context.flake.locks().map(LockFile::new);
        let findings = lock.as_ref().map(|lock| lock_rules::findings(lock, &Value::Null, ""));
        return Validation {
            findings: findings.unwrap_or_default(),
            lock,
            ..Validation::default()
        };
    };
    let own = own_lock.and_then(|text| LockFile::parse(text).ok());
    let testbed_lock = if context.in_testbed() { evaluated_lock(context) } else { None };
    let inputs = flake::inputs(&context.flake.nix, &root);
    let text = files::read(&root.join("flake.nix")).unwrap_or_default();
    let mut findings = match (&own, own_lock) {
        (Some(own), _) => lock_rules::findings(own, &inputs, &text),
        (None, Some(_)) => vec![lock_rules::unreadable()],
        // The testbed has created its own lock file.
        (None, None) if testbed_lock.is_some() => vec![],
        (None, None) if inputs.as_object().is_some_and(|inputs| !inputs.is_empty()) => {
            vec![lock_rules::absent()]
        }
        (None, None) => vec![],
    };
    // With `path:`, Nix copies the whole folder, tracked or not.
    if !context.flake.reference.starts_with("path:") {
        findings.extend(untracked(&root));
        findings.extend(git::hidden_edits(&root).into_iter().map(lock_rules::hidden_edit));
    }
    let lock = testbed_lock.or(own);
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
        // A flake that does not list its hosts is reported by the evaluation.
        if let Ok(known) = context.all_hosts() {
            let about_pins = pinned_file.findings(&locked, known);
            findings.extend(about_pins.into_iter().map(|finding| finding.at(pinned_path)));
        }
    }
    Validation { findings, lock, pinned_file, pinned_path }
}

fn read_pinned_hosts(root: &Path) -> Result<PinnedHostsFile> {
    let text = PINNED_HOSTS.read(root)?;
    Ok(text.map(|text| PinnedHostsFile::read(&text)).transpose()?.unwrap_or_default())
}

/// Returns the hosts that are pinned to an earlier llama.cpp; none if the files cannot be read.
pub fn pinned_hosts(context: &Context) -> PinnedHosts {
    let read = || {
        let pinned_file = read_pinned_hosts(&root(context)?).ok()?;
        Some(Validation { lock: evaluated_lock(context), pinned_file, ..Validation::default() })
    };
    read().unwrap_or_default().pinned_hosts()
}

/// Reads the lock file that the evaluation uses: flake.lock, or the testbed's.
pub fn evaluated_lock(context: &Context) -> Option<LockFile> {
    LockFile::parse(&files::read(&context.lock_file()?).ok()?).ok()
}

fn root(context: &Context) -> Option<PathBuf> {
    local_root(&context.flake.reference)
}

fn untracked(root: &Path) -> Vec<Finding> {
    // Without Git, Nix copies the whole folder too.
    let Ok(mut files) = git::untracked(root, "*.nix") else { return vec![] };
    files.retain(|file| file.split_once('/').is_some_and(|(folder, _)| IMPORTED.contains(&folder)));
    for file in ["flake.nix", "flake.lock"].iter().chain(&state_file::PATHS) {
        files.extend(git::untracked(root, file).unwrap_or_default());
    }
    files.into_iter().map(lock_rules::untracked).collect()
}
