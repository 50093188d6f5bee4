//! A fleet of any size, created from the repository's files for measurements.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::dev::perf::budgets;
use crate::system::process::{self, Invocation};
use crate::system::{disk, files, git, resources};

/// Copies the tracked files, with `count` generated hosts instead of the real ones.
pub fn make(repository: &Path, home: &Path, count: usize) -> Result<PathBuf> {
    let folder = home.join(format!("perf/{count}-hosts"));
    disk::remove(&folder)?;
    for name in git::tracked(repository, ".")? {
        let (from, to) = (repository.join(&name), folder.join(&name));
        if name.starts_with("hosts/") || !from.is_file() {
            continue;
        }
        disk::create(disk::folder_of(&to))?;
        fs::copy(&from, &to).with_context(|| format!("cannot copy {name}"))?;
    }
    let mut table = String::from("{\n");
    for (host, microarch) in budgets::hosts(count) {
        table += &format!(
            "  {host} = {{ system = \"x86_64-linux\"; target = \"{host}\"; hardware = null; }};\n"
        );
        write(&folder, &format!("hosts/{host}/default.nix"), &budgets::module(microarch, 0))?;
    }
    write(&folder, "hosts/default.nix", &(table + "}\n"))?;
    track(&folder)?;
    Ok(folder)
}

/// Writes a file of a fleet, and creates its folder.
pub fn write(folder: &Path, name: &str, text: &str) -> Result<()> {
    let file = folder.join(name);
    disk::create(disk::folder_of(&file))?;
    files::write_atomically(&file, text.as_bytes())
}

/// Adds all files to Git, because Nix sees only tracked files.
pub fn track(folder: &Path) -> Result<()> {
    for words in [&["init", "--quiet"][..], &["add", "--all"]] {
        let call = Invocation::new("git").args(words.iter().copied()).dir(folder);
        process::read(&call, Some(Duration::from_secs(60)))?;
    }
    Ok(())
}

/// Returns the memory of all processes whose command line names this folder, in bytes.
pub fn memory(folder: &Path) -> u64 {
    let Some(needle) = folder.to_str() else { return 0 };
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter(|entry| {
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(needle)
        })
        .filter_map(|entry| resources::resident(entry.file_name().to_str()?.parse().ok()?))
        .sum()
}
