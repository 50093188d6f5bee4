//! The private Nix that `setup` unpacks if the machine has none: Debian 13's, with its libraries
//! and loader, in one folder. The system is unchanged.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::dev::debian::{self, PrivateApt};
use crate::dev::pieces::{self, Item, Piece};
use crate::nix::program::Nix;
use crate::system::{disk, files};
use crate::testbed::inputs as testbed;

const RELEASE: &str = "trixie";
const PACKAGE: &str = "nix-bin";
const DOWNLOAD_MEGABYTES: u64 = 38;
/// The packages and the unpacked files.
const DISK_MEGABYTES: u64 = 230;

/// The names of Nix's multi-call program.
const PROGRAMS: [&str; 12] = [
    "nix",
    "nix-build",
    "nix-channel",
    "nix-collect-garbage",
    "nix-copy-closure",
    "nix-daemon",
    "nix-env",
    "nix-hash",
    "nix-instantiate",
    "nix-prefetch-url",
    "nix-shell",
    "nix-store",
];

pub fn item(home: &Path, nix: &Result<Nix>, on_debian: bool) -> Item {
    match nix {
        Ok(nix) if nix.program.starts_with(home.join("nix")) && is_stale(home) => {
            let what = format!("rewrites the scripts that start {}", nix.version);
            Piece::Nix.to_do(what, "nothing outside this folder", (Some(0), 0))
        }
        Ok(nix) => Piece::Nix.present(format!("{} ({})", nix.version, nix.program.display())),
        Err(_) if on_debian => Piece::Nix.to_do(
            "Nix 2.26 from Debian 13, unpacked for this project alone",
            "apt-get install --download-only nix-bin (in a separate package database), then dpkg -x",
            (Some(DOWNLOAD_MEGABYTES), DISK_MEGABYTES),
        ),
        Err(error) => Piece::Nix.blocked(format!("{error:#}"), "see https://nixos.org/download"),
    }
}

/// Provides `home/nix`: `root-VERSION`, `conf` and, last, `bin/nix`, so that `bin/nix` exists only
/// in a complete installation. Packages that are already unpacked are not fetched again.
pub fn provide(home: &Path, step: &mut dyn FnMut(&str)) -> Result<()> {
    let dir = home.join("nix");
    let root = match unpacked(&dir) {
        Some(root) => root,
        None => fetch(&dir, step)?,
    };
    let conf = dir.join("conf");
    disk::create(&conf)?;
    let configuration = pieces::nix_configuration(testbed::inputs_reachable());
    files::write_atomically(&conf.join("nix.conf"), configuration.as_bytes())?;

    let bin = dir.join("bin");
    disk::create(&bin)?;
    let staged = dir.join("bin-staged");
    disk::make_folder(&staged, |partial| {
        for name in PROGRAMS {
            let file = partial.join(name);
            files::write_atomically(&file, wrapper(&dir, &root, name)?.as_bytes())?;
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755))
                .with_context(|| format!("cannot make {} executable", file.display()))?;
        }
        Ok(())
    })?;
    // One by one, so that a running Nix always finds all of them.
    for name in PROGRAMS.iter().rev() {
        fs::rename(staged.join(name), bin.join(name))
            .with_context(|| format!("cannot create {}", bin.join(name).display()))?;
    }
    disk::remove(&staged)?;
    // The packages are not needed once they are unpacked.
    disk::remove(&dir.join("apt"))
}

/// Returns whether `bin` was written by another version of this file.
fn is_stale(home: &Path) -> bool {
    let dir = home.join("nix");
    let Some(root) = unpacked(&dir) else { return true };
    PROGRAMS.iter().any(|name| {
        let written = fs::read_to_string(dir.join("bin").join(name)).ok();
        wrapper(&dir, &root, name).ok() != written
    })
}

fn wrapper(dir: &Path, root: &Path, name: &str) -> Result<String> {
    let text = |path: &Path| path.to_str().map(str::to_owned).context("the path is not UTF-8");
    let triplet = debian::triplet();
    pieces::nix_wrapper(name, &text(root)?, &text(&dir.join("conf"))?, triplet)
        .with_context(|| format!("no known dynamic loader for {triplet}"))
}

/// Returns the folder of an earlier set-up. It is complete, because it is created by a rename.
fn unpacked(dir: &Path) -> Option<PathBuf> {
    let folder = fs::read_dir(dir).ok()?;
    let root =
        |path: &PathBuf| path.file_name().is_some_and(|n| n.as_bytes().starts_with(b"root-"));
    folder.filter_map(|entry| Some(entry.ok()?.path())).filter(root).max()
}

fn fetch(dir: &Path, step: &mut dyn FnMut(&str)) -> Result<PathBuf> {
    step("fetching Debian 13's Nix and its libraries");
    let debs = PrivateApt::new(&dir.join("apt"), RELEASE)?.download(&[PACKAGE])?;
    let version = debs
        .iter()
        .find_map(|deb| pieces::nix_version_of(deb.file_name()?.to_str()?))
        .context("apt reported success, but nix-bin was not downloaded")?;
    step(&format!("unpacking Nix {version} ({} packages)", debs.len()));
    let root = dir.join(format!("root-{version}"));
    disk::make_folder(&root, |partial| debian::unpack(&debs, partial))?;
    Ok(root)
}
