//! The Nix that `setup` unpacks for itself where the machine has none: Debian 13's,
//! with its own libraries and loader, in one folder. The system is left alone.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};

use crate::domain::provision;
use crate::sys::debian::{self, PrivateApt};
use crate::sys::disk;
use crate::sys::files;
use crate::sys::interrupt;

const RELEASE: &str = "trixie";
const PACKAGE: &str = "nix-bin";
pub const DOWNLOAD_MEGABYTES: u64 = 38;
/// Packages and what comes out of them.
pub const DISK_MEGABYTES: u64 = 230;

/// Names that Nix's one program answers to.
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

/// Provides `home/nix`: `root-VERSION`, `conf` and, last of all, `bin`, so that a Nix
/// that is found is whole.
pub fn provide(home: &Path, step: &mut dyn FnMut(&str)) -> Result<()> {
    let dir = home.join("nix");
    let triplet = debian::triplet()?;
    let apt_dir = dir.join("apt");
    step("fetching Debian 13's Nix and its libraries");
    let debs = PrivateApt::new(&apt_dir, RELEASE)?.download(PACKAGE)?;
    let version = debs
        .iter()
        .find_map(|deb| provision::nix_version_of(deb.file_name()?.to_str()?))
        .context("apt said that it fetched nix-bin, but there is no such file")?
        .to_owned();

    let root = dir.join(format!("root-{version}"));
    if !root.is_dir() {
        step(&format!("unpacking Nix {version} ({} packages)", debs.len()));
        disk::make_folder(&root, |partial| {
            for deb in &debs {
                if interrupt::requested() {
                    anyhow::bail!("interrupted");
                }
                debian::unpack(deb, partial)?;
            }
            Ok(())
        })?;
    }
    let text = |path: &Path| path.to_str().map(str::to_owned).context("the path is not UTF-8");
    let (bin, conf) = (dir.join("bin"), dir.join("conf"));
    disk::make_folder(&conf, |partial| {
        let configuration = provision::nix_configuration();
        files::write_atomically(&partial.join("nix.conf"), configuration.as_bytes())
    })?;
    disk::make_folder(&bin, |partial| {
        for name in PROGRAMS {
            let script = provision::nix_wrapper(name, &text(&root)?, &text(&conf)?, &triplet)
                .with_context(|| format!("there is no loader known for {triplet}"))?;
            let file = partial.join(name);
            files::write_atomically(&file, script.as_bytes())?;
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755))
                .with_context(|| format!("cannot make {} executable", file.display()))?;
        }
        Ok(())
    })?;
    // Fetched again at need; unpacked they are of no more use.
    disk::remove(&apt_dir)
}
