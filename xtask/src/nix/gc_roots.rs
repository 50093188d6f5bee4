//! Links to what was built, which Nix's garbage collector takes for roots.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::nix::names::StorePath;
use crate::nix::program::Nix;
use crate::system::{disk, files, process};

/// The links to each link that is a GC root.
const ROOTS: &str = "/nix/var/nix/gcroots/auto";

/// A folder of links, each named after a variant.
#[derive(Debug)]
pub struct Links {
    folder: PathBuf,
    /// The links that Nix knows as roots.
    known: BTreeSet<PathBuf>,
}

impl Links {
    /// # Errors
    /// The folder cannot be made; so it is when `nix build` left a link of that name.
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
        let known = roots.filter_map(|root| fs::read_link(root.path()).ok()).collect();
        Ok(Self { folder, known })
    }

    /// Makes or moves the link of this name; says where it is.
    pub fn link(&self, nix: &Nix, name: &str, to: &StorePath) -> Result<PathBuf> {
        let link = self.folder.join(files::safe_name(name));
        let there = fs::read_link(&link).is_ok_and(|old| old == Path::new(to.as_str()));
        if there && self.known.contains(&link) {
            return Ok(link);
        }
        if link.symlink_metadata().is_ok_and(|meta| !meta.is_symlink()) {
            bail!("{} exists but is not a link", link.display());
        }
        // In this order: the options of this Nix come after the first words.
        let call = nix.command(["build", "--offline"]).arg("--out-link").arg(&link);
        let call = call.arg(to.as_str());
        process::read(&call.for_the_report(), None)?;
        Ok(link)
    }

    /// Links into the store that are none of these: of variants that are no more.
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
