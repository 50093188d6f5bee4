//! Copies a flake's folder, as Nix sees it, to be evaluated with another lock file.

use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use walkdir::WalkDir;

use crate::nix::flake_ref::in_url;
use crate::system::disk::TemporaryFolder;
use crate::system::{disk, git};

/// Maximum number of files and folders of a fleet without Git.
const MOST_FILES: usize = 20_000;

/// A copy that is removed when it is dropped.
#[derive(Debug)]
pub struct TreeCopy {
    folder: TemporaryFolder,
    /// The flake's folder in the copy: empty unless it is below the root of its repository.
    inner: PathBuf,
}

impl TreeCopy {
    /// Copies the files of the working tree that Git tracks; without Git, the whole folder. The
    /// copy is in `candidates/` of xtask's folder, and its name ends in `name`.
    pub fn of(root: &Path, home: &Path, name: &str) -> Result<Self> {
        let folder = TemporaryFolder::new(&home.join("candidates"), "", &format!("-{name}"))?;
        let repository = git::top(root);
        let top = repository.unwrap_or(root);
        let inner = root.strip_prefix(top).unwrap_or(Path::new("")).to_owned();
        let copy = Self { folder, inner };
        let names = match repository {
            Some(top) => git::tracked(top, ".")?,
            None => walk(root)?.into_iter().map(|(name, _)| name).collect(),
        };
        for name in names {
            copy_one(&top.join(&name), &copy.folder.path().join(&name))
                .with_context(|| format!("cannot copy {name}"))?;
        }
        Ok(copy)
    }

    /// Returns the flake's folder in the copy.
    pub fn flake(&self) -> PathBuf {
        self.folder.path().join(&self.inner)
    }

    /// Returns the flake reference. With `path:`, because the copy may be inside a repository that
    /// does not track it.
    pub fn reference(&self) -> String {
        let place = format!("path:{}", in_url(self.folder.path()));
        if self.inner.as_os_str().is_empty() {
            return place;
        }
        format!("{place}?dir={}", in_url(&self.inner))
    }
}

fn copy_one(from: &Path, to: &Path) -> Result<()> {
    // A tracked file may be deleted. A submodule is a folder, which Nix omits too.
    let Ok(about) = from.symlink_metadata() else { return Ok(()) };
    disk::create(to.parent().unwrap_or(to))?;
    if about.is_symlink() {
        std::os::unix::fs::symlink(fs::read_link(from)?, to)?;
    } else if about.is_file() {
        fs::copy(from, to)?;
    }
    Ok(())
}

/// Lists all files and folders below `root`, with names relative to it.
pub(crate) fn walk(root: &Path) -> Result<Vec<(String, Metadata)>> {
    let mut found = vec![];
    for entry in WalkDir::new(root).min_depth(1) {
        let entry = entry.context("cannot read a folder")?;
        let about = entry.metadata().context("a file is gone")?;
        let name = entry.path().strip_prefix(root).unwrap_or(entry.path()).to_str();
        found.push((name.context("a file's name is not UTF-8")?.to_owned(), about));
        if found.len() > MOST_FILES {
            bail!(
                "{} has more than {MOST_FILES} files and is not a Git repository: run `git init` \
                 there, and add the fleet's files",
                root.display()
            );
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::process;
    use crate::system::process::Invocation;

    #[test]
    fn the_copy_has_the_working_trees_tracked_files() {
        let scratch = tempfile::tempdir().unwrap();
        let (home, top) = (scratch.path().join("a home"), scratch.path().join("top"));
        let root = top.join("fleet");
        disk::create(&root).unwrap();
        fs::write(root.join("flake.nix"), "{ }").unwrap();
        fs::write(root.join("gone.nix"), "").unwrap();
        std::os::unix::fs::symlink("flake.nix", root.join("link")).unwrap();
        for words in [&["init", "-q"][..], &["add", "-A"]] {
            let call = Invocation::new("git").args(words.iter().copied()).dir(&top);
            process::read(&call, None).unwrap();
        }
        fs::write(root.join("flake.nix"), "{ edited = 1; }").unwrap();
        fs::write(root.join("untracked"), "").unwrap();
        fs::remove_file(root.join("gone.nix")).unwrap();
        disk::create(&home.join("candidates/999999999-x")).unwrap();

        let copy = TreeCopy::of(&root, &home, "new").unwrap();
        let flake = copy.flake();
        assert_eq!(fs::read_to_string(flake.join("flake.nix")).unwrap(), "{ edited = 1; }");
        assert_eq!(fs::read_link(flake.join("link")).unwrap(), Path::new("flake.nix"));
        assert_eq!(fs::read_dir(&flake).unwrap().count(), 2);
        assert!(copy.reference().contains("/a%20home/candidates/"), "{}", copy.reference());
        assert!(copy.reference().ends_with("?dir=fleet"));
        drop(copy);
        // The folder that a killed run left is removed too.
        assert_eq!(fs::read_dir(home.join("candidates")).unwrap().count(), 0);
    }
}
