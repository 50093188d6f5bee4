//! A fleet of real NixOS hosts for measurements, with a local nixpkgs.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::dev::perf::budgets;
use crate::dev::perf::fleet_copy::{track, write};
use crate::nix::program::Nix;
use crate::system::process::{self, Invocation};
use crate::system::{disk, files, git};
use crate::testbed::inputs as testbed;
use crate::testbed::revision::TestbedRevision;

/// The roles of the hosts, repeated in this order.
const ROLES: [(&str, &str); 4] = [
    ("web", include_str!("real_fleet/web.nix")),
    ("database", include_str!("real_fleet/database.nix")),
    ("desktop", include_str!("real_fleet/desktop.nix")),
    ("builder", include_str!("real_fleet/builder.nix")),
];

/// Writes the repository's modules and overlays, and `count` hosts that import them.
pub fn make(
    repository: &Path,
    home: &Path,
    nixpkgs: &Path,
    revision: Option<TestbedRevision>,
    count: usize,
) -> Result<PathBuf> {
    let nix = Nix::find(home)?;
    let folder = home.join(format!("perf/{count}-real-hosts"));
    disk::remove(&folder)?;
    for pattern in ["modules", "overlays"] {
        for name in git::tracked(repository, pattern)? {
            write(&folder, &name, &files::read(&repository.join(&name))?)?;
        }
    }
    let lock = match revision {
        Some(revision) => testbed::lock_file(&nix, home, repository, revision)?,
        None => repository.join("flake.lock"),
    };
    write(&folder, "llamafleet.lock", &files::read(&lock)?)?;
    let flake = include_str!("real_fleet/flake.nix").replace("@nixpkgs@", &locked(nixpkgs)?);
    write(&folder, "flake.nix", &flake)?;
    write(&folder, "stand-in.nix", include_str!("real_fleet/stand-in.nix"))?;
    write(&folder, "roles/common.nix", include_str!("real_fleet/common.nix"))?;
    for (role, text) in ROLES {
        write(&folder, &format!("roles/{role}.nix"), text)?;
    }
    write(&folder, "README.md", "run 0\n")?;
    let mut table = String::from("{\n");
    for ((host, microarch), (role, _)) in budgets::hosts(count).iter().zip(ROLES.iter().cycle()) {
        table += &format!("  {host} = {{ system = \"x86_64-linux\"; role = \"{role}\"; }};\n");
        write(&folder, &format!("hosts/{host}/default.nix"), &budgets::module(microarch, 0))?;
    }
    write(&folder, "hosts/default.nix", &(table + "}\n"))?;
    track(&folder)?;
    // The first call copies nixpkgs to the store.
    let reference = folder.to_str().context("the folder's path is not UTF-8")?;
    let call = nix.command(["flake", "lock", reference]);
    process::read(&call, Some(Duration::from_secs(600)))?;
    track(&folder)?;
    Ok(folder)
}

/// Returns the checked-out commit as an input URL. Nix hashes a folder without Git at every call,
/// which would dominate the measurement.
fn locked(nixpkgs: &Path) -> Result<String> {
    let folder = fs::canonicalize(nixpkgs)
        .with_context(|| format!("no such folder: {}", nixpkgs.display()))?;
    let name = folder.to_str().context("the path of nixpkgs is not UTF-8")?;
    if !folder.join("nixos/lib/eval-config.nix").is_file() {
        bail!("{name} is not nixpkgs: it has no nixos/lib/eval-config.nix");
    }
    if !folder.join(".git").exists() {
        bail!("{name} is not a Git repository; run `git init` there and commit it");
    }
    let call = Invocation::new("git").args(["rev-parse", "HEAD"]).dir(&folder);
    let commit = process::read(&call, Some(Duration::from_secs(20)))?;
    Ok(format!("git+file://{name}?shallow=1&rev={}", commit.trim()))
}
