//! The journal of updates: each step that an input of a fleet took, so that it can be
//! taken back. An entry is written before flake.lock moves; one whose step was never taken
//! is not on the way back from where the fleet is.
//!
//! Pure: no I/O, no clock.

use serde::{Deserialize, Serialize};

use crate::fleet::pinned_hosts::PinnedHosts;
use crate::nix::flake_input::Revision;
use crate::nix::lockfile::LockFile;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When, in seconds since 1970.
    pub time: u64,
    pub input: String,
    pub from: Revision,
    pub to: Revision,
    /// The whole lock that it was left at. A hash of the content of every input is in it,
    /// so going back needs no network while the store has them.
    pub lock: LockFile,
    /// Hosts that were pinned to an earlier revision.
    #[serde(rename = "held", default, skip_serializing_if = "PinnedHosts::is_empty")]
    pub pinned_hosts: PinnedHosts,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(from: &str, to: &str) -> Entry {
        let at = |rev: &str| Revision { rev: rev.into(), date: None, build: None };
        let (time, input, lock) = (0, "llama-cpp".into(), serde_json::Value::Null);
        Entry {
            time,
            input,
            from: at(from),
            to: at(to),
            lock: LockFile::new(lock),
            pinned_hosts: PinnedHosts::new(),
        }
    }

    #[test]
    fn only_steps_that_led_here_are_taken_back() {
        // b → x was written down, and never made: the machine lost power.
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
    fn going_back_is_a_step_as_well() {
        let entries = [entry("a", "b"), entry("b", "a")];
        let way = way_back(&entries, "llama-cpp", "a");
        assert_eq!(way[0].from.rev, "b");
    }
}
