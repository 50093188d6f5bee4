//! overlays/llama-cpp/held.json: hosts that stay at an earlier llama.cpp because a newer one
//! fails there. Keyed by the revision that flake.lock has, like pin.json: what holds before a
//! step and what holds after it are both in the file when flake.lock moves, and that one
//! rename changes them together. modules/shared/source.nix reads it.
//!
//! Pure: no I/O, no clock.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::findings::finding::Finding;
use crate::nix::flake_input::{Revision, short};
use crate::nix::names::HostName;

/// Below the fleet's folder.
pub const HELD: &str = "overlays/llama-cpp/held.json";

/// What one host has instead of what flake.lock says, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    /// The `locked` of a node of flake.lock, with its content's hash.
    pub locked: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<u64>,
    /// The day it began, UTC.
    pub since: String,
    /// The newest revision that was tried, as a person names it.
    pub failed_with: String,
    /// Where that failed: `evaluation`, `building`, …
    pub failed_at: String,
    pub reason: String,
}

impl Hold {
    pub fn rev(&self) -> &str {
        self.locked["rev"].as_str().unwrap_or("unknown")
    }

    pub fn revision(&self) -> Revision {
        let date = self.locked["lastModified"].as_i64();
        Revision { rev: self.rev().to_owned(), date, build: self.build }
    }

    /// What `check` says of it for as long as it lasts.
    pub fn reminder(&self) -> Finding {
        let Self { since, failed_with, failed_at, reason, .. } = self;
        let reason = reason.lines().next().unwrap_or_default();
        let finding = Finding::warning(
            "held",
            format!(
                "pinned to llama.cpp {} ({}) since {since}: {failed_with} fails on this host at {failed_at}: {reason}",
                self.revision().name(),
                short(self.rev()),
            ),
            "fix the host, or wait for an upstream fix; each `cargo xtask update` retries it and \
             unpins it once it works",
        );
        Finding { file: Some(HELD.into()), ..finding }
    }
}

/// A failure in one line: what failed, and the first error of the log's end, if that is told.
pub fn reason(message: &str) -> String {
    let mut lines = message.lines();
    let what = lines.next().unwrap_or_default();
    match lines.find(|line| line.contains("error")) {
        Some(error) => format!("{}: {}", what.split(';').next().unwrap_or(what), error.trim()),
        None => what.trim_end_matches("; end of the log:").to_owned(),
    }
}

pub type Holds = BTreeMap<HostName, Hold>;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// By the revision that flake.lock has where they hold.
    holds: BTreeMap<String, Holds>,
}

impl Held {
    /// # Errors
    /// It is not JSON of this form.
    pub fn read(text: &str) -> Result<Self> {
        serde_json::from_str(text)
            .context("expected { \"holds\": { REVISION: { HOST: { \"locked\": …, … } } } }")
    }

    /// What holds while flake.lock has this revision.
    pub fn at(&self, rev: &str) -> Holds {
        self.holds.get(rev).cloned().unwrap_or_default()
    }

    pub fn is_empty(&self) -> bool {
        self.holds.values().all(Holds::is_empty)
    }

    /// For the step from one revision to another: what holds at either, and no other. The
    /// same revision twice: what it comes to.
    pub fn step(&self, from: &str, to: &str, holds: Holds) -> Self {
        let ends = [(from.to_owned(), self.at(from)), (to.to_owned(), holds)];
        let ends: BTreeMap<String, Holds> = ends.into_iter().collect();
        Self { holds: ends.into_iter().filter(|(_, holds)| !holds.is_empty()).collect() }
    }

    /// Every revision that something is held at.
    pub fn revisions(&self) -> impl Iterator<Item = Revision> {
        self.holds.values().flat_map(BTreeMap::values).map(Hold::revision)
    }

    pub fn print(&self) -> String {
        let value = serde_json::json!({ "holds": self.holds });
        format!("{value:#}\n")
    }

    /// What is to be said of the file as a whole. `locked`: the revisions of llama.cpp that
    /// flake.lock has; `known`: the fleet's hosts.
    pub fn judge(&self, locked: &[&str], known: &[HostName]) -> Vec<Finding> {
        let unknown = locked.iter().flat_map(|rev| self.holds.get(*rev)).flat_map(Holds::keys);
        let mut findings: Vec<Finding> = unknown
            .filter(|host| !known.contains(host))
            .map(|host| {
                Finding::warning(
                    "held-stranger",
                    format!(
                        "{host} is pinned to an earlier llama.cpp, but is not a host of the \
                             fleet"
                    ),
                    format!("remove its entry in {HELD}, or correct its name"),
                )
            })
            .collect();
        let applies = locked.iter().any(|rev| self.holds.contains_key(*rev));
        if !applies && !self.is_empty() && !locked.is_empty() {
            let hosts: Vec<&str> =
                self.holds.values().flat_map(Holds::keys).map(HostName::as_str).collect();
            findings.push(Finding::warning(
                "held-without-effect",
                format!(
                    "flake.lock changed outside xtask, so {} no longer pinned to an earlier \
                     llama.cpp",
                    if hosts.len() == 1 {
                        format!("{} is", hosts[0])
                    } else {
                        hosts.join(", ") + " are"
                    }
                ),
                format!(
                    "build them; if they work, run `git rm {HELD}`, otherwise `cargo xtask \
                         rollback`"
                ),
            ));
        }
        for finding in &mut findings {
            finding.file = Some(HELD.into());
        }
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn hold(rev: &str) -> Hold {
        Hold {
            locked: json!({ "type": "github", "rev": rev, "narHash": "sha256-x" }),
            build: Some(7),
            since: "2026-11-22".into(),
            failed_with: "b9".into(),
            failed_at: "building".into(),
            reason: "cpu-x is not built (failed)\nlong log".into(),
        }
    }

    fn holds(pairs: &[(&str, &str)]) -> Holds {
        pairs.iter().map(|(host, rev)| (HostName::new(*host), hold(rev))).collect()
    }

    #[test]
    fn both_ends_of_a_step_hold_what_they_hold_and_no_other() {
        let first = Held::default().step("a", "b", holds(&[("boron", "a")]));
        assert!(first.at("a").is_empty());
        assert_eq!(first.at("b")[&HostName::new("boron")].rev(), "a");
        let second = first.step("b", "c", holds(&[("carbon", "b")]));
        assert_eq!((second.at("b"), second.at("c").len()), (first.at("b"), 1));
        let third = second.step("c", "d", Holds::new());
        assert!(third.at("b").is_empty() && third.at("d").is_empty() && !third.is_empty());
        // Released where flake.lock does not move.
        assert!(third.step("c", "c", Holds::new()).is_empty());
        assert_eq!(Held::read(&second.print()).unwrap(), second);
    }

    #[test]
    fn a_reminder_says_since_when_at_what_why_and_what_to_do() {
        let told = hold("0123456789abcdef").reminder();
        assert_eq!(
            told.message,
            "pinned to llama.cpp b7 (012345678) since 2026-11-22: b9 fails on this host at building: cpu-x \
             is not built (failed)"
        );
        assert!(told.help.contains("cargo xtask update"), "{}", told.help);
    }

    #[test]
    fn a_reason_is_one_line_with_the_error() {
        let log = "cpu-x is not built (failed); end of the log:\nFAILED: a.o\n a.c:1: fatal error: b.h: No such file\n";
        assert_eq!(
            reason(log),
            "cpu-x is not built (failed): a.c:1: fatal error: b.h: No such file"
        );
        let mute = "cpu-x is not built (failed); end of the log:\nended";
        assert_eq!(reason(mute), "cpu-x is not built (failed)");
        assert_eq!(reason("slower: pp128 -20 %"), "slower: pp128 -20 %");
    }

    #[test]
    fn what_has_no_effect_is_told() {
        let held = Held::default().step("a", "b", holds(&[("boron", "a")]));
        let boron = [HostName::new("boron")];
        assert_eq!(held.judge(&["b"], &boron), []);
        assert_eq!(held.judge(&["b"], &[])[0].code, "held-stranger");
        let moved = held.judge(&["x"], &boron);
        assert_eq!(moved[0].code, "held-without-effect");
        assert!(moved[0].message.contains("boron is no longer pinned"), "{}", moved[0].message);
        assert_eq!(Held::default().judge(&["x"], &boron), []);
    }
}
