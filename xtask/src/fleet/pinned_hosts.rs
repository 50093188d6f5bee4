//! pinned_hosts.json: hosts that stay at an earlier llama.cpp because a newer one fails there. Like
//! pin.json, it is keyed by the revision in flake.lock, and has the pinned hosts before and after an
//! update, so that the rename of flake.lock switches both. modules/shared/source.nix reads it.
//!
//! Pure: no I/O, no clock.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use semver::Version;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::findings::finding::Finding;
use crate::fleet::names::{HostName, join};
use crate::fleet::state_file::PINNED_HOSTS;
use crate::nix::flake_input::{Revision, short};

/// The revision to which a host is pinned instead of flake.lock's, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PinnedHost {
    /// The `locked` of a node of flake.lock, with the content hash.
    pub locked: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<Version>,
    /// The date since which the host is pinned, UTC.
    pub since: String,
    /// The newest revision that was tried.
    pub failed_with: String,
    /// The stage at which it failed: `evaluation`, `build`, …
    pub failed_at: String,
    pub reason: String,
}

impl PinnedHost {
    pub fn rev(&self) -> &str {
        self.locked["rev"].as_str().unwrap_or("unknown")
    }

    pub fn revision(&self) -> Revision {
        Revision {
            rev: self.rev().to_owned(),
            date: self.locked["lastModified"].as_i64(),
            build: self.build,
            release: self.release.clone(),
        }
    }

    /// Returns `check`'s warning about the pinned host.
    pub fn reminder(&self) -> Finding {
        let Self { since, failed_with, failed_at, reason, .. } = self;
        let reason = reason.lines().next().unwrap_or_default();
        Finding::warning(
            "pinned-host",
            format!(
                "pinned to llama.cpp {} ({}) since {since}: {failed_with} fails on this host ({failed_at}): {reason}",
                self.revision().name(),
                short(self.rev()),
            ),
            "fix the host, or wait for an upstream fix; each `cargo xtask update` retries it and \
             unpins it once it works",
        )
    }
}

/// Shortens a failure to one line: what failed, and the log's first error line, if any.
pub fn reason(message: &str) -> String {
    let mut lines = message.lines();
    let what = lines.next().unwrap_or_default();
    match lines.find(|line| line.contains("error")) {
        Some(error) => format!("{}: {}", what.split(';').next().unwrap_or(what), error.trim()),
        None => what.trim_end_matches("; end of the log:").to_owned(),
    }
}

pub type PinnedHosts = BTreeMap<HostName, PinnedHost>;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinnedHostsFile {
    /// The pinned hosts for each revision in flake.lock.
    #[serde(rename = "holds")]
    by_revision: BTreeMap<String, PinnedHosts>,
}

impl PinnedHostsFile {
    /// Parses the file.
    ///
    /// # Errors
    /// The text is not JSON of this form.
    pub fn read(text: &str) -> Result<Self> {
        serde_json::from_str(text)
            .context("expected { \"holds\": { REVISION: { HOST: { \"locked\": …, … } } } }")
    }

    /// Returns the pinned hosts if flake.lock has this revision.
    pub fn at(&self, rev: &str) -> PinnedHosts {
        self.by_revision.get(rev).cloned().unwrap_or_default()
    }

    pub fn is_empty(&self) -> bool {
        self.by_revision.values().all(PinnedHosts::is_empty)
    }

    /// Returns the file for an update from one revision to another, with the pinned hosts of both
    /// and no others. If the revisions are equal, `hosts` replaces the pinned hosts.
    pub fn step(&self, from: &str, to: &str, hosts: PinnedHosts) -> Self {
        let ends = BTreeMap::from([(from.to_owned(), self.at(from)), (to.to_owned(), hosts)]);
        Self { by_revision: ends.into_iter().filter(|(_, hosts)| !hosts.is_empty()).collect() }
    }

    /// Returns the pinned hosts of all revisions.
    pub fn hosts(&self) -> impl Iterator<Item = (&HostName, &PinnedHost)> {
        self.by_revision.values().flatten()
    }

    pub fn print(&self) -> String {
        let value = serde_json::json!({ "holds": self.by_revision });
        format!("{value:#}\n")
    }

    /// Checks the file. `locked` are the revisions of llama.cpp in flake.lock, `known` the fleet's
    /// hosts.
    pub fn findings(&self, locked: &[&str], known: &[HostName]) -> Vec<Finding> {
        let in_effect: Vec<&PinnedHosts> =
            locked.iter().filter_map(|rev| self.by_revision.get(*rev)).collect();
        let finding = |host: &HostName| {
            Finding::warning(
                "unknown-pinned-host",
                format!("{host} is pinned to an earlier llama.cpp, but is not a host of the fleet"),
                format!("remove its entry in {}, or correct its name", PINNED_HOSTS.name),
            )
        };
        let pinned = in_effect.iter().flat_map(|hosts| hosts.keys());
        let unknown = pinned.filter(|host| !known.contains(host));
        let mut findings: Vec<Finding> = unknown.map(finding).collect();
        if in_effect.is_empty() && !self.is_empty() && !locked.is_empty() {
            let are = if self.hosts().count() == 1 { "is" } else { "are" };
            findings.push(Finding::warning(
                "pinned-hosts-outdated",
                format!(
                    "flake.lock changed outside xtask, so {} {are} no longer pinned to an earlier \
                     llama.cpp",
                    join(self.hosts().map(|(host, _)| host))
                ),
                format!(
                    "build them; if they work, run `git rm {}`, otherwise `cargo xtask rollback`",
                    PINNED_HOSTS.name
                ),
            ));
        }
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pinned(rev: &str) -> PinnedHost {
        PinnedHost {
            locked: json!({ "type": "github", "rev": rev, "narHash": "sha256-x" }),
            build: Some(7),
            release: None,
            since: "2026-11-22".into(),
            failed_with: "b9".into(),
            failed_at: "build".into(),
            reason: "cpu-x is not built (failed)\nlong log".into(),
        }
    }

    fn hosts(pairs: &[(&str, &str)]) -> PinnedHosts {
        pairs.iter().map(|(host, rev)| (HostName::new(*host), pinned(rev))).collect()
    }

    #[test]
    fn an_update_has_the_pinned_hosts_of_both_revisions_and_no_others() {
        let first = PinnedHostsFile::default().step("a", "b", hosts(&[("boron", "a")]));
        assert!(first.at("a").is_empty());
        assert_eq!(first.at("b")[&HostName::new("boron")].rev(), "a");
        let second = first.step("b", "c", hosts(&[("carbon", "b")]));
        assert_eq!((second.at("b"), second.at("c").len()), (first.at("b"), 1));
        let third = second.step("c", "d", PinnedHosts::new());
        assert!(third.at("b").is_empty() && third.at("d").is_empty() && !third.is_empty());
        // Unpinned without a change of flake.lock.
        assert!(third.step("c", "c", PinnedHosts::new()).is_empty());
        assert_eq!(PinnedHostsFile::read(&second.print()).unwrap(), second);
    }

    #[test]
    fn a_reminder_has_date_revision_reason_and_help() {
        let reminder = pinned("0123456789abcdef").reminder();
        assert_eq!(
            reminder.message,
            "pinned to llama.cpp b7 (012345678) since 2026-11-22: b9 fails on this host (build): cpu-x \
             is not built (failed)"
        );
        assert!(reminder.help.contains("cargo xtask update"), "{}", reminder.help);
    }

    #[test]
    fn a_reason_is_one_line_with_the_error() {
        let log = "cpu-x is not built (failed); end of the log:\nFAILED: a.o\n a.c:1: fatal error: b.h: No such file\n";
        assert_eq!(
            reason(log),
            "cpu-x is not built (failed): a.c:1: fatal error: b.h: No such file"
        );
        let without_error = "cpu-x is not built (failed); end of the log:\nended";
        assert_eq!(reason(without_error), "cpu-x is not built (failed)");
        assert_eq!(reason("slower: pp128 -20 %"), "slower: pp128 -20 %");
    }

    #[test]
    fn entries_without_effect_are_reported() {
        let file = PinnedHostsFile::default().step("a", "b", hosts(&[("boron", "a")]));
        let boron = [HostName::new("boron")];
        assert_eq!(file.findings(&["b"], &boron), []);
        assert_eq!(file.findings(&["b"], &[])[0].code, "unknown-pinned-host");
        let moved = file.findings(&["x"], &boron);
        assert_eq!(moved[0].code, "pinned-hosts-outdated");
        assert!(moved[0].message.contains("boron is no longer pinned"), "{}", moved[0].message);
        assert_eq!(PinnedHostsFile::default().findings(&["x"], &boron), []);
    }
}
