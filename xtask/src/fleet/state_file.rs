//! The files that `update` writes to the root of a fleet. Earlier versions wrote them below
//! overlays/llama-cpp/, where they are still read; the next update moves them.
//! overlays/llama-cpp/fleet-state.nix reads the same places.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::system::{disk, files, git};

pub struct StateFile {
    /// Below the fleet's folder.
    pub name: &'static str,
    pub old: &'static str,
}

pub const BUILD_NUMBERS: StateFile =
    StateFile { name: "pin.json", old: "overlays/llama-cpp/pin.json" };
pub const PINNED_HOSTS: StateFile =
    StateFile { name: "pinned_hosts.json", old: "overlays/llama-cpp/held.json" };

/// Every path of both files.
pub const PATHS: [&str; 4] =
    [BUILD_NUMBERS.name, BUILD_NUMBERS.old, PINNED_HOSTS.name, PINNED_HOSTS.old];

impl StateFile {
    /// Where the file is in this fleet, or would be written.
    pub fn path(&self, root: &Path) -> &'static str {
        let is_old = !root.join(self.name).exists() && root.join(self.old).exists();
        if is_old { self.old } else { self.name }
    }

    /// The file's text; none if the fleet has no such file.
    pub fn read(&self, root: &Path) -> Result<Option<String>> {
        let file = root.join(self.path(root));
        if file.exists() { files::read(&file).map(Some) } else { Ok(None) }
    }

    /// Writes the file and removes the old one, in a copy of the fleet: nobody else reads it.
    pub fn replace(&self, copy: &Path, text: &str) -> Result<()> {
        let file = copy.join(self.name);
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        disk::remove(&copy.join(self.old))
    }

    /// Moves the file from its old place. At no moment is there none, and the new one is read
    /// first, so that a killed move changes no host.
    pub fn move_to_root(&self, root: &Path) -> Result<()> {
        let Ok(text) = files::read(&root.join(self.old)) else { return Ok(()) };
        let new = root.join(self.name);
        if !new.exists() {
            files::write_atomically(&new, text.as_bytes())?;
        }
        if git::is_repository(root) && !git::tracked(root, self.old)?.is_empty() {
            // Nix sees only files that Git tracks.
            git::intend_to_add(root, &[Path::new(self.name)])?;
        }
        disk::remove(&root.join(self.old))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_read_is_not_an_absent_one() {
        let fleet = tempfile::tempdir().unwrap();
        assert_eq!(PINNED_HOSTS.read(fleet.path()).unwrap(), None);
        fs::create_dir(fleet.path().join(PINNED_HOSTS.name)).unwrap();
        let error = PINNED_HOSTS.read(fleet.path()).unwrap_err();
        assert!(error.to_string().contains("pinned_hosts.json"), "{error}");
    }
}
