//! The key of the evaluation cache: everything that Nix could see during an evaluation.
//! Evaluation is pure, so a result is valid as long as its key is unchanged.
//!
//! The key covers all hosts: one edited file invalidates every result, although the files that
//! a host's evaluation opens could be traced. A result can also depend on the name of the
//! flake's copy in the store, which contains the hash of the whole tree: through `toString ./.`,
//! `baseNameOf ./.`, `__curPos`, `unsafeGetAttrPos`, a source's filter, or a path compared with
//! another by `<`, none of which opens a file or uses `self`. The module system itself converts
//! each module's path to a string, so that such a use cannot tell hosts apart. The integration
//! tests have a host for each of these cases, which a cache per file would have to handle.
//!
//! Pure: no I/O, no clock.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::nix::lockfile::{LockFile, Node};
use serde::{Deserialize, Serialize};

/// Everything that an evaluation of a flake depends on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Nix, xtask, the lock file, nix.conf, the environment: by name, as a digest or text.
    pub environment: BTreeMap<String, String>,
    /// The commit, whose hash and date Nix passes to the flake.
    pub head: String,
    pub files: BTreeMap<String, Entry>,
}

/// A file of the tree, as Nix sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The entry of Git's index: a staged change makes the tree dirty. Without Git, the time of
    /// modification.
    pub index: String,
    /// Regular, executable, a link with its target, or absent.
    pub kind: String,
    /// The hash of the contents in the working tree.
    pub hash: String,
}

/// The contents of a flake's cache file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Stored {
    pub snapshot: Snapshot,
    pub hosts: Vec<String>,
    /// The results of select.nix by host. A failure is never stored: this machine may have
    /// caused it.
    pub results: BTreeMap<String, Value>,
}

impl Snapshot {
    /// Describes the first difference, which makes results for `self` invalid.
    pub fn difference(&self, now: &Self) -> Option<String> {
        for name in self.environment.keys().chain(now.environment.keys()) {
            if self.environment.get(name) != now.environment.get(name) {
                return Some(format!("{name} is different"));
            }
        }
        for (name, entry) in &self.files {
            match now.files.get(name) {
                None => return Some(format!("{name} is gone")),
                Some(other) if other != entry => return Some(format!("{name} changed")),
                Some(_) => {}
            }
        }
        if let Some(name) = now.files.keys().find(|name| !self.files.contains_key(*name)) {
            return Some(format!("{name} is new"));
        }
        (self.head != now.head).then(|| "another commit is checked out".to_owned())
    }
}

/// Returns the first input that the lock file does not pin by its contents: it can change while
/// the lock file does not.
pub fn unpinned(lock: &str) -> Option<String> {
    let Ok(lock) = LockFile::parse(lock) else {
        return Some("the lock file itself".to_owned());
    };
    let unpinned = |node: Node<'_>| !node.locked()["narHash"].is_string();
    let mut nodes = lock.nodes()?;
    let found = nodes.find(|(name, node)| *name != lock.root() && unpinned(*node));
    found.map(|(name, _)| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(files: &[(&str, &str)]) -> Snapshot {
        let entry = |hash: &str| Entry { index: "i".into(), kind: "f".into(), hash: hash.into() };
        Snapshot {
            environment: BTreeMap::from([("Nix".into(), "2.26.3".into())]),
            head: "c".into(),
            files: files.iter().map(|(name, hash)| ((*name).into(), entry(hash))).collect(),
        }
    }

    #[test]
    fn every_difference_is_named() {
        let before = snapshot(&[("a", "1"), ("b", "2")]);
        let printed = |now: &Snapshot| before.difference(now).unwrap_or_default();
        assert_eq!(printed(&before.clone()), "");
        assert_eq!(printed(&snapshot(&[("a", "1"), ("b", "3")])), "b changed");
        assert_eq!(printed(&snapshot(&[("a", "1")])), "b is gone");
        assert_eq!(printed(&snapshot(&[("a", "1"), ("b", "2"), ("c", "3")])), "c is new");
        let mut now = before.clone();
        now.head = "d".into();
        assert_eq!(printed(&now), "another commit is checked out");
        now.environment.clear();
        assert_eq!(printed(&now), "Nix is different");
        now = before.clone();
        now.files.get_mut("a").unwrap().kind = "x".into();
        assert_eq!(printed(&now), "a changed");
        now = before.clone();
        now.environment.insert("nix.conf".into(), "x".into());
        assert_eq!(printed(&now), "nix.conf is different");
    }

    #[test]
    fn an_input_without_a_hash_is_not_pinned() {
        let lock = |locked: &str| {
            format!(r#"{{"root":"root","nodes":{{"root":{{}},"a":{{"locked":{locked}}}}}}}"#)
        };
        assert_eq!(unpinned(&lock(r#"{"narHash":"sha256-x"}"#)), None);
        assert_eq!(unpinned(&lock(r#"{"path":"./sub"}"#)), Some("a".into()));
        assert!(unpinned("{").is_some());
    }
}
