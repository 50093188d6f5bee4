//! When an answer of an earlier evaluation still stands: when all that Nix could see
//! then is the same now. Evaluation is pure, so that is proof; nothing is guessed from
//! names.
//!
//! Either every host's answer stands or none does, although the files that an evaluation
//! opens can be found out. What cannot be found out is where the flake's copy in the store
//! is. Its name holds the hash of the whole tree, so an edit of any file changes it, and
//! `toString ./.`, `baseNameOf ./.`, `__curPos`, `unsafeGetAttrPos`, the filter of a source,
//! and a path compared with another with `<` all take that name into a host's answer, with
//! no file opened and no use of `self`. The module system itself makes a string of each
//! module's path, so that asking for it is no criterion either. The integration tests have
//! a host for each of these ways; a cache by file would have to answer them.
//!
//! Pure: no I/O, no clock.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::nix::lockfile::{LockFile, Node};
use serde::{Deserialize, Serialize};

/// All that an evaluation of a flake depends on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Nix, xtask, the lock file, nix.conf, the environment: by name, as a digest or a text.
    pub environment: BTreeMap<String, String>,
    /// The commit, whose hash and date Nix passes to the flake.
    pub head: String,
    pub files: BTreeMap<String, Entry>,
}

/// A file of the tree as Nix sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What Git's index has: a staged change makes the tree dirty. Without Git, the time.
    pub index: String,
    /// Regular, executable, a link with its target, or absent.
    pub kind: String,
    /// Of the bytes in the working tree.
    pub hash: String,
}

/// The file of a flake.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Stored {
    pub snapshot: Snapshot,
    pub hosts: Vec<String>,
    /// As select.nix gives them. A failure is never stored: it may be the machine's.
    pub answers: BTreeMap<String, Value>,
}

impl Snapshot {
    /// Why answers for `self` say nothing of `now`; the first difference, in words.
    pub fn differs(&self, now: &Self) -> Option<String> {
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

/// The first input that a lock file does not pin by content: its answers can change while
/// the lock does not.
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
        let printed = |now: &Snapshot| before.differs(now).unwrap_or_default();
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
