//! The journal of updates, from which `rollback` restores earlier pins: one file per fleet in
//! `updates/` of xtask's folder, one line per update. An entry is written before flake.lock is
//! replaced; `rollback` ignores an entry whose update did not happen.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::fleet::pinned_hosts::PinnedHosts;
use crate::nix::flake_input::Revision;
use crate::nix::lockfile::LockFile;
use crate::system::{files, json_lines};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Seconds since 1970.
    pub time: u64,
    pub input: String,
    pub from: Revision,
    pub to: Revision,
    /// The lock file before the update. It has a content hash of every input, so a rollback needs
    /// no network as long as the inputs are in the store.
    pub lock: LockFile,
    /// Hosts that were pinned to an earlier revision.
    #[serde(rename = "held", default, skip_serializing_if = "PinnedHosts::is_empty")]
    pub pinned_hosts: PinnedHosts,
    /// The files that are replaced before flake.lock, with their new content.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
}

/// Returns the updates that led to the revision `now`, newest first.
pub fn updates_to<'a>(entries: &'a [Entry], input: &str, now: &str) -> Vec<&'a Entry> {
    let mut updates: Vec<&Entry> = vec![];
    let mut rev = now;
    for entry in entries.iter().rev() {
        if entry.input == input && entry.to.rev == rev && entry.from.rev != rev {
            updates.push(entry);
            rev = &entry.from.rev;
        }
    }
    updates
}

fn file(home: &Path, root: &Path) -> PathBuf {
    home.join("updates").join(format!("{}.jsonl", files::path_name(root)))
}

/// Reads the journal, oldest entry first. Skips a line that a killed run left incomplete.
pub fn read(home: &Path, root: &Path) -> Result<Vec<Entry>> {
    Ok(json_lines::values(&json_lines::read(&file(home, root))?).collect())
}

/// Appends an entry and syncs it to disk.
pub fn append(home: &Path, root: &Path, entry: &Entry) -> Result<()> {
    json_lines::append(&file(home, root), entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(from: &str, to: &str) -> Entry {
        Entry {
            time: 0,
            input: "llama-cpp".into(),
            from: Revision::of(from),
            to: Revision::of(to),
            lock: LockFile::new(serde_json::Value::Null),
            pinned_hosts: PinnedHosts::new(),
            files: BTreeMap::new(),
        }
    }

    #[test]
    fn only_steps_that_led_here_can_be_undone() {
        // b → x was written, but did not happen: the machine lost power.
        let entries = [entry("a", "b"), entry("b", "x"), entry("b", "c"), entry("c", "d")];
        let earlier = |now: &str| -> String {
            let updates = updates_to(&entries, "llama-cpp", now);
            updates.iter().map(|entry| entry.from.rev.as_str()).collect()
        };
        assert_eq!(earlier("d"), "cba");
        assert_eq!(earlier("b"), "a");
        assert_eq!(earlier("elsewhere"), "");
        assert!(updates_to(&entries, "other", "d").is_empty());
    }

    #[test]
    fn a_rollback_is_a_step() {
        let entries = [entry("a", "b"), entry("b", "a")];
        assert_eq!(updates_to(&entries, "llama-cpp", "a")[0].from.rev, "b");
    }
}
