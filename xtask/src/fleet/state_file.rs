//! The files that `update` writes to the root of a fleet. Earlier versions wrote them to
//! overlays/llama-cpp/, where they are still read until the next update moves them.
//! overlays/llama-cpp/fleet-state.nix reads the same paths.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::system::{disk, files, git};

pub struct StateFile {
    /// The path in the fleet's folder.
    pub name: &'static str,
    /// The path of earlier versions.
    pub old: &'static str,
}

pub const BUILD_NUMBERS: StateFile =
    StateFile { name: "pin.json", old: "overlays/llama-cpp/pin.json" };
pub const PINNED_HOSTS: StateFile =
    StateFile { name: "pinned_hosts.json", old: "overlays/llama-cpp/held.json" };

/// All paths of both files.
pub const PATHS: [&str; 4] =
    [BUILD_NUMBERS.name, BUILD_NUMBERS.old, PINNED_HOSTS.name, PINNED_HOSTS.old];

impl StateFile {
    /// Returns the path of the file in this fleet, or where it would be written.
    pub fn path(&self, root: &Path) -> &'static str {
        let is_old = !root.join(self.name).exists() && root.join(self.old).exists();
        if is_old { self.old } else { self.name }
    }

    /// Returns the file's content; none if the fleet has no such file.
    pub fn read(&self, root: &Path) -> Result<Option<String>> {
        let file = root.join(self.path(root));
        if file.exists() { files::read(&file).map(Some) } else { Ok(None) }
    }

    /// Writes the file to a private copy of the fleet, and removes the old file.
    pub fn replace(&self, copy: &Path, text: &str) -> Result<()> {
        let file = copy.join(self.name);
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        disk::remove(&copy.join(self.old))
    }

    /// Moves the file from its old path. Writes the new file before it removes the old one, and the
    /// new one is read first, so that an interrupted move changes no host.
    pub fn move_to_root(&self, root: &Path) -> Result<()> {
        let Ok(text) = files::read(&root.join(self.old)) else { return Ok(()) };
        let new = root.join(self.name);
        if !new.exists() {
            files::write_atomically(&new, text.as_bytes())?;
        }
        if git::is_repository(root) && !git::tracked(root, self.old)?.is_empty() {
            // A flake contains only files that Git tracks.
            git::intend_to_add(root, &[Path::new(self.name)])?;
        }
        disk::remove(&root.join(self.old))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unreadable_file_is_an_error() {
        let fleet = tempfile::tempdir().unwrap();
        assert_eq!(PINNED_HOSTS.read(fleet.path()).unwrap(), None);
        fs::create_dir(fleet.path().join(PINNED_HOSTS.name)).unwrap();
        let error = PINNED_HOSTS.read(fleet.path()).unwrap_err();
        assert!(error.to_string().contains("pinned_hosts.json"), "{error}");
    }
}
