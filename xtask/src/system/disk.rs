//! The disk: folders that appear whole or not at all, room, and checksums. A folder is
//! made under a temporary name beside its place, then renamed; what a killed run left
//! is swept by the next.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::system::process::{self, Invocation};

/// Fills an empty folder by `make`, then puts it in `dir`'s place. `dir` is there
/// whole or, after a kill between two renames, not at all.
pub fn make_folder<T>(dir: &Path, make: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
    sweep(dir);
    // A name of our own: a child of a killed run may still be writing into its folder.
    let partial = beside(dir, &format!("partial-{}", std::process::id()));
    create(&partial)?;
    let made = make(&partial).inspect_err(|_| drop(remove(&partial)))?;
    let old = beside(dir, &format!("old-{}", std::process::id()));
    if dir.exists() {
        fs::rename(dir, &old).with_context(|| format!("cannot move {} away", dir.display()))?;
    }
    fs::rename(&partial, dir).with_context(|| format!("cannot make {}", dir.display()))?;
    remove(&old)?;
    Ok(made)
}

pub fn create(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("cannot make the folder {}", dir.display()))
}

/// Removes a file or a folder with all it holds; that it is not there is well.
pub fn remove(path: &Path) -> Result<()> {
    let removed = match path.symlink_metadata() {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => return Ok(()),
    };
    removed.with_context(|| format!("cannot remove {}", path.display()))
}

/// Removes what killed runs left beside `path`, as far as it can be removed.
pub fn sweep(path: &Path) {
    let prefixes = ["partial-", "old-"].map(|suffix| beside(path, suffix));
    let Some(Ok(folder)) = path.parent().map(fs::read_dir) else { return };
    for found in folder.flatten().map(|entry| entry.path()) {
        let starts = |prefix: &PathBuf| {
            found
                .to_str()
                .zip(prefix.to_str())
                .is_some_and(|(found, prefix)| found.starts_with(prefix))
        };
        if prefixes.iter().any(starts) {
            let _ = remove(&found);
        }
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{suffix}"))
}

/// Bytes that this user may still write below `path`, which need not be there yet.
pub fn free_bytes(path: &Path) -> Result<u64> {
    let there = path.ancestors().find(|dir| dir.exists()).unwrap_or(Path::new("/"));
    let call = Invocation::new("df").args(["-k", "--output=avail"]).arg(there);
    let said = process::read(&call, Some(Duration::from_secs(10)))?;
    let blocks = said.lines().nth(1).and_then(|line| line.trim().parse::<u64>().ok());
    Ok(blocks.with_context(|| format!("`{call}` printed no number but {said:?}"))? * 1024)
}

/// Of the file systems that these are on, the one with the least room: where it is mounted,
/// and the bytes that are free.
pub fn fullest(paths: &[&Path]) -> Option<(String, u64)> {
    let call = Invocation::new("df").args(["-k", "--output=avail,target"]).args(paths);
    let said = process::capture(&call.for_the_report(), Some(Duration::from_secs(10))).ok()?;
    let said = said.stdout_text();
    let rows = said.lines().skip(1).filter_map(|line| {
        let (kilobytes, place) = line.trim().split_once(' ')?;
        Some((place.trim().to_owned(), kilobytes.parse::<u64>().ok()? * 1024))
    });
    rows.min_by_key(|(_, bytes)| *bytes)
}

/// Holds a file's content to its checksum.
pub fn verify_sha256(file: &Path, wanted: &str) -> Result<()> {
    let call = Invocation::new("sha256sum").arg("--").arg(file);
    let said = process::read(&call, Some(Duration::from_secs(120)))?;
    let is = said.trim_start_matches('\\').split_whitespace().next().unwrap_or_default();
    if is != wanted {
        bail!("{} has checksum {is}, not {wanted}", file.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("llamafleet-{name}-{}", std::process::id()));
        remove(&dir).unwrap();
        create(&dir).unwrap();
        dir
    }

    #[test]
    fn a_folder_appears_only_when_it_is_whole() {
        let dir = scratch("folder");
        let place = dir.join("it");
        let failed: Result<()> = make_folder(&place, |partial| {
            fs::write(partial.join("a"), "1")?;
            bail!("killed")
        });
        assert!(failed.is_err() && !place.exists());
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
        // What a killed run left is swept by the next.
        create(&dir.join(".it.partial-1/x")).unwrap();
        create(&dir.join(".it.old-1")).unwrap();
        make_folder(&place, |partial| Ok(fs::write(partial.join("b"), "2")?)).unwrap();
        assert!(!place.join("a").exists() && place.join("b").exists());
        make_folder(&place, |partial| Ok(fs::write(partial.join("c"), "3")?)).unwrap();
        assert!(!place.join("b").exists() && place.join("c").exists());
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
        remove(&dir).unwrap();
    }

    #[test]
    fn the_checksum_is_the_files() {
        let dir = scratch("sum");
        let file = dir.join("f");
        fs::write(&file, "abc").unwrap();
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        verify_sha256(&file, abc).unwrap();
        let error = verify_sha256(&file, &abc.replace('b', "c")).unwrap_err();
        assert!(error.to_string().contains(abc), "{error}");
        remove(&dir).unwrap();
    }
}
