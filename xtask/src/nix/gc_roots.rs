//! Creates links to builds that Nix's garbage collector treats as roots.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::nix::names::StorePath;
use crate::nix::program::Nix;
use crate::system::{disk, files, process};

/// The folder in which Nix links to each link that is a GC root.
const ROOTS: &str = "/nix/var/nix/gcroots/auto";

/// A folder of links, each named after a variant.
#[derive(Debug)]
pub struct Links {
    folder: PathBuf,
    /// All links that are GC roots.
    registered: Vec<PathBuf>,
}

impl Links {
    /// Opens the folder, and creates it if necessary.
    ///
    /// # Errors
    /// The folder cannot be created, for example because `nix build` created a link of that name.
    pub fn open(folder: &Path) -> Result<Self> {
        if folder.symlink_metadata().is_ok_and(|meta| meta.is_symlink()) {
            bail!(
                "{} is a link, as `nix build` creates: remove it, or pass another folder with \
                 --out-link",
                folder.display()
            );
        }
        disk::create(folder)?;
        let folder = fs::canonicalize(folder)
            .with_context(|| format!("cannot read {}", folder.display()))?;
        let roots = fs::read_dir(ROOTS).into_iter().flatten().flatten();
        let registered = roots.filter_map(|root| fs::read_link(root.path()).ok()).collect();
        Ok(Self { folder, registered })
    }

    /// Creates or changes the link of this name, and returns its path.
    pub fn link(&self, nix: &Nix, name: &str, to: &StorePath) -> Result<PathBuf> {
        let link = self.folder.join(files::safe_name(name));
        let is_current = fs::read_link(&link).is_ok_and(|old| old == Path::new(to.as_str()));
        if is_current && self.registered.contains(&link) {
            return Ok(link);
        }
        if link.symlink_metadata().is_ok_and(|meta| !meta.is_symlink()) {
            bail!("{} exists but is not a link", link.display());
        }
        let call = nix.command(["build", "--offline"]).arg("--out-link").arg(&link);
        process::read(&call.arg(to.as_str()).for_the_report(), None)?;
        Ok(link)
    }

    /// Returns the other links into the store: those of variants that no longer exist.
    pub fn others(&self, names: &BTreeSet<String>) -> Vec<String> {
        let names: BTreeSet<String> = names.iter().map(|name| files::safe_name(name)).collect();
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut others: Vec<String> = entries
            .filter(|entry| {
                fs::read_link(entry.path()).is_ok_and(|to| to.starts_with("/nix/store"))
            })
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| !names.contains(name))
            .collect();
        others.sort();
        others
    }
}
