//! pin.json: llama.cpp's build number for each revision that the fleet or a pinned host is at,
//! or was at before the last update. A GitHub archive does not have it. Keyed by revision, so
//! that renaming flake.lock changes both at once.
//!
//! Pure: no I/O, no clock.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::nix::flake_input::Revision;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildNumbers {
    builds: BTreeMap<String, u64>,
}

impl BuildNumbers {
    /// # Errors
    /// It is not JSON, or has no `builds`.
    pub fn read(text: &str) -> Result<Self> {
        serde_json::from_str(text).context("expected { \"builds\": { REVISION: NUMBER } }")
    }

    pub fn build(&self, rev: &str) -> Option<u64> {
        self.builds.get(rev).copied()
    }

    /// With the numbers of these revisions, and no other.
    pub fn with<'a>(&self, revisions: impl IntoIterator<Item = &'a Revision>) -> Self {
        let known = |revision: &Revision| {
            let build = revision.build.filter(|build| *build > 0).or(self.build(&revision.rev))?;
            Some((revision.rev.clone(), build))
        };
        Self { builds: revisions.into_iter().filter_map(known).collect() }
    }

    pub fn print(&self) -> String {
        let value = serde_json::json!({ "builds": self.builds });
        format!("{value:#}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(rev: &str, build: Option<u64>) -> Revision {
        Revision { rev: rev.into(), date: None, build }
    }

    #[test]
    fn both_ends_of_a_step_have_their_number() {
        let pins = BuildNumbers::read(r#"{ "builds": { "a": 1, "b": 2, "old": 0 } }"#).unwrap();
        let next = pins.with([&at("b", None), &at("c", Some(3))]);
        assert_eq!(next.print(), "{\n  \"builds\": {\n    \"b\": 2,\n    \"c\": 3\n  }\n}\n");
        assert_eq!(BuildNumbers::read(&next.print()).unwrap(), next);
        // An unknown number is not written; the build then has 0.
        assert_eq!(pins.with([&at("a", Some(1)), &at("x", None)]).build("x"), None);
    }

    #[test]
    fn the_fleets_own_is_read_as_it_is() {
        let ours = include_str!("../../../pin.json");
        let pins = BuildNumbers::read(ours).unwrap();
        assert_eq!((pins.builds.len(), pins.print().as_str()), (1, ours));
    }
}
