//! The journal of updates: each step of an input, so that it can be undone. A file for each fleet
//! under `updates/` of xtask's folder, a line for each step. An entry is written before flake.lock
//! is replaced; if that did not happen, no way back leads through the entry.

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
    /// When, in seconds since 1970.
    pub time: u64,
    pub input: String,
    pub from: Revision,
    pub to: Revision,
    /// The lock file before the step. It has a hash of the content of every input, so going back
    /// needs no network while the store has them.
    pub lock: LockFile,
    /// Hosts that were pinned to an earlier revision.
    #[serde(rename = "held", default, skip_serializing_if = "PinnedHosts::is_empty")]
    pub pinned_hosts: PinnedHosts,
    /// The files that are replaced before flake.lock, with their new text.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
}

/// The pins before the one at `now`, newest first.
pub fn way_back<'a>(entries: &'a [Entry], input: &str, now: &str) -> Vec<&'a Entry> {
    let mut way: Vec<&Entry> = vec![];
    let mut at = now;
    for entry in entries.iter().rev() {
        if entry.input == input && entry.to.rev == at && entry.from.rev != at {
            way.push(entry);
            at = &entry.from.rev;
        }
    }
    way
}

fn file(home: &Path, root: &Path) -> PathBuf {
    home.join("updates").join(format!("{}.jsonl", files::path_name(root)))
}

/// Reads the journal, oldest entry first. A line that a killed run left incomplete is skipped.
pub fn read(home: &Path, root: &Path) -> Result<Vec<Entry>> {
    Ok(json_lines::values(&json_lines::read(&file(home, root))?).collect())
}

/// Appends an entry, which is on the disk when this returns.
pub fn append(home: &Path, root: &Path, entry: &Entry) -> Result<()> {
    json_lines::append(&file(home, root), entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(from: &str, to: &str) -> Entry {
        let at = |rev: &str| Revision::of(rev);
        let (time, input, lock) = (0, "llama-cpp".into(), serde_json::Value::Null);
        Entry {
            time,
            input,
            from: at(from),
            to: at(to),
            lock: LockFile::new(lock),
            pinned_hosts: PinnedHosts::new(),
            files: BTreeMap::new(),
        }
    }

    #[test]
    fn only_steps_that_led_here_can_be_undone() {
        // b → x was written, but not done: the machine lost power.
        let entries = [entry("a", "b"), entry("b", "x"), entry("b", "c"), entry("c", "d")];
        let back = |now: &str| -> String {
            let way = way_back(&entries, "llama-cpp", now);
            way.iter().map(|entry| entry.from.rev.as_str()).collect()
        };
        assert_eq!(back("d"), "cba");
        assert_eq!(back("b"), "a");
        assert_eq!(back("elsewhere"), "");
        assert!(way_back(&entries, "other", "d").is_empty());
    }

    #[test]
    fn a_rollback_is_a_step() {
        let entries = [entry("a", "b"), entry("b", "a")];
        let way = way_back(&entries, "llama-cpp", "a");
        assert_eq!(way[0].from.rev, "b");
    }
}
