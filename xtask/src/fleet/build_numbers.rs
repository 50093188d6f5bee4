//! pin.json: llama.cpp's build numbers and release versions, which a GitHub archive does not have.
//! It has those of the revisions of the fleet and its pinned hosts, now and before the last update,
//! keyed by revision, so that the rename of flake.lock switches them.
//!
//! Pure: no I/O, no clock.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::nix::flake_input::Revision;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildNumbers {
    builds: BTreeMap<String, u64>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    releases: BTreeMap<String, Version>,
}

impl BuildNumbers {
    /// Parses the file.
    ///
    /// # Errors
    /// The text is not JSON, or has no `builds`.
    pub fn read(text: &str) -> Result<Self> {
        serde_json::from_str(text).context("expected { \"builds\": { REVISION: NUMBER } }")
    }

    pub fn build(&self, rev: &str) -> Option<u64> {
        self.builds.get(rev).copied()
    }

    pub fn release(&self, rev: &str) -> Option<Version> {
        self.releases.get(rev).cloned()
    }

    /// Returns the numbers and versions of these revisions, and no others.
    pub fn with<'a>(&self, revisions: impl IntoIterator<Item = &'a Revision>) -> Self {
        let mut known = Self::default();
        for Revision { rev, build, release, .. } in revisions {
            let build = build.filter(|build| *build > 0).or(self.build(rev));
            known.builds.extend(build.map(|build| (rev.clone(), build)));
            let release = release.clone().or(self.release(rev));
            known.releases.extend(release.map(|release| (rev.clone(), release)));
        }
        known
    }

    pub fn print(&self) -> String {
        format!("{:#}\n", serde_json::json!(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(rev: &str, build: Option<u64>) -> Revision {
        Revision { build, ..Revision::of(rev) }
    }

    #[test]
    fn both_revisions_of_an_update_have_their_number() {
        let pins = BuildNumbers::read(r#"{ "builds": { "a": 1, "b": 2, "old": 0 } }"#).unwrap();
        let next = pins.with([&at("b", None), &at("c", Some(3))]);
        assert_eq!(next.print(), "{\n  \"builds\": {\n    \"b\": 2,\n    \"c\": 3\n  }\n}\n");
        assert_eq!(BuildNumbers::read(&next.print()).unwrap(), next);
        // An unknown number is not written; the build then has 0.
        assert_eq!(pins.with([&at("a", Some(1)), &at("x", None)]).build("x"), None);
        let version = Version::new(0, 7, 0);
        let release = Revision { release: Some(version.clone()), ..at("r", Some(9)) };
        let pins = BuildNumbers::read(&pins.with([&release]).print()).unwrap();
        assert_eq!(pins.with([&at("r", None), &at("b", None)]).release("r"), Some(version));
        assert_eq!(pins.with([&at("b", None)]).release("r"), None);
    }

    #[test]
    fn this_repositorys_file_is_read_and_printed_unchanged() {
        let ours = include_str!("../../../pin.json");
        let pins = BuildNumbers::read(ours).unwrap();
        assert_eq!((pins.builds.len(), pins.print().as_str()), (1, ours));
    }
}
