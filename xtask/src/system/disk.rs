//! The disk: folders that appear whole or not at all, room, and checksums. A folder is
//! filled under a temporary name beside its place, then renamed. Whoever fills one holds
//! a lock on it, so that the next run removes only what a killed run left.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::system::process::{self, Invocation};

/// A new folder in `parent` that is removed when this is dropped.
#[derive(Debug)]
pub struct TemporaryFolder {
    folder: TempDir,
    /// Tells other runs that this one is alive.
    _claim: File,
}

impl TemporaryFolder {
    /// `name` is between a fixed prefix, by which later runs find what this one leaves if
    /// it is killed, and letters that no other run has.
    pub fn new(parent: &Path, prefix: &str, name: &str) -> Result<Self> {
        create(parent)?;
        // Nobody sweeps between the two steps.
        Self::claimed(parent, prefix, name, 0o777, File::lock_shared)
    }

    /// The same for this user alone, in a folder that others may write to and lock, too: for
    /// their locks nobody waits.
    pub fn private(parent: &Path, prefix: &str, name: &str) -> Result<Self> {
        Self::claimed(parent, prefix, name, 0o700, |whole| {
            let _ = whole.try_lock_shared();
            Ok(())
        })
    }

    fn claimed(
        parent: &Path,
        prefix: &str,
        name: &str,
        mode: u32,
        lock: impl Fn(&File) -> std::io::Result<()>,
    ) -> Result<Self> {
        sweep(parent, |found| found.starts_with(prefix));
        let made = || -> std::io::Result<Self> {
            let whole = File::open(parent)?;
            lock(&whole)?;
            let folder = tempfile::Builder::new()
                .prefix(prefix)
                .suffix(name)
                .permissions(Permissions::from_mode(mode))
                .tempdir_in(parent)?;
            let claim = File::open(folder.path())?;
            claim.lock_shared()?;
            Ok(Self { folder, _claim: claim })
        };
        made().with_context(|| format!("cannot create a folder in {}", parent.display()))
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Removes files and folders of `folder` that no running process holds a lock on, as far
/// as they can be removed. Leaves it to the next run while somebody writes into `folder`:
/// waiting for a lock that this process itself holds would never end.
pub fn sweep(folder: &Path, is_meant: impl Fn(&str) -> bool) {
    let Ok(whole) = File::open(folder) else { return };
    if whole.try_lock().is_err() {
        return;
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        // A pipe of somebody else would be waited for.
        let is_ours = entry.file_type().is_ok_and(|kind| kind.is_file() || kind.is_dir());
        let abandoned = || File::open(&path).is_ok_and(|found| found.try_lock().is_ok());
        if is_ours && is_meant(&entry.file_name().to_string_lossy()) && abandoned() {
            let _ = remove(&path);
        }
    }
}

/// The folder that a file lies in; of a bare name, the current one.
pub fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        parent => parent.unwrap_or(Path::new("/")),
    }
}

/// Fills an empty folder by `make`, then puts it in `dir`'s place. `dir` is there
/// whole or, after a kill between two renames, not at all.
pub fn make_folder<T>(dir: &Path, make: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
    let parent = folder_of(dir);
    let prefix = format!(".{}.", dir.file_name().unwrap_or_default().to_string_lossy());
    let new = TemporaryFolder::new(parent, &prefix, "")?;
    let made = make(new.path())?;
    let old = TemporaryFolder::new(parent, &prefix, "")?;
    if dir.exists() {
        fs::rename(dir, old.path())
            .with_context(|| format!("cannot move {} away", dir.display()))?;
    }
    fs::rename(new.path(), dir).with_context(|| format!("cannot create {}", dir.display()))?;
    Ok(made)
}

pub fn create(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("cannot create the folder {}", dir.display()))
}

/// Removes a file, or a folder with its content, if it exists.
pub fn remove(path: &Path) -> Result<()> {
    let removed = match path.symlink_metadata() {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => return Ok(()),
    };
    removed.with_context(|| format!("cannot remove {}", path.display()))
}

/// The plain files of the folder, without links.
pub fn files_of(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let plain =
        entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    Ok(plain.map(|entry| entry.path()).collect())
}

/// Bytes that this user may still write below `path`, which need not exist yet.
pub fn free_bytes(path: &Path) -> Result<u64> {
    let existing = path.ancestors().find(|dir| dir.exists()).unwrap_or(Path::new("/"));
    let (_, bytes) = fullest(&[existing])
        .with_context(|| format!("`df` does not tell the free space of {}", path.display()))?;
    Ok(bytes)
}

/// Of the file systems that these are on, the one with the least room: where it is mounted,
/// and the bytes that are free.
pub fn fullest(paths: &[&Path]) -> Option<(String, u64)> {
    let call = Invocation::new("df").args(["-k", "--output=avail,target"]).args(paths);
    let printed = process::capture(&call.for_the_report(), Some(Duration::from_secs(10))).ok()?;
    let printed = printed.stdout_text();
    let rows = printed.lines().skip(1).filter_map(|line| {
        let (kilobytes, place) = line.trim().split_once(' ')?;
        Some((place.trim().to_owned(), kilobytes.parse::<u64>().ok()? * 1024))
    });
    rows.min_by_key(|(_, bytes)| *bytes)
}

/// Holds a file's content to its checksum.
pub fn verify_sha256(file: &Path, wanted: &str) -> Result<()> {
    let call = Invocation::new("sha256sum").arg("--").arg(file);
    let printed = process::read(&call, Some(Duration::from_secs(120)))?;
    let is = printed.trim_start_matches('\\').split_whitespace().next().unwrap_or_default();
    if is != wanted {
        bail!("{} has checksum {is}, not {wanted}", file.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_appears_only_when_it_is_whole() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path();
        let place = dir.join("it");
        let failed: Result<()> = make_folder(&place, |partial| {
            fs::write(partial.join("a"), "1")?;
            bail!("killed")
        });
        assert!(failed.is_err() && !place.exists());
        assert_eq!(fs::read_dir(dir).unwrap().count(), 0);
        // What a killed run left is swept by the next.
        create(&dir.join(".it.dead/x")).unwrap();
        make_folder(&place, |partial| Ok(fs::write(partial.join("b"), "2")?)).unwrap();
        assert!(!place.join("a").exists() && place.join("b").exists());
        make_folder(&place, |partial| Ok(fs::write(partial.join("c"), "3")?)).unwrap();
        assert!(!place.join("b").exists() && place.join("c").exists());
        assert_eq!(fs::read_dir(dir).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_in_the_making_takes_whole_files_and_folders() {
        let scratch = tempfile::tempdir().unwrap();
        let (done, is_done) = std::sync::mpsc::channel();
        let place = scratch.path().join("it");
        let made = place.clone();
        std::thread::spawn(move || {
            let made = make_folder(&made, |partial| {
                crate::system::files::write_atomically(&partial.join("a"), b"1")?;
                make_folder(&partial.join("b"), |_| Ok(()))
            });
            let _ = done.send(made.is_ok());
        });
        assert_eq!(is_done.recv_timeout(Duration::from_secs(20)), Ok(true));
        assert!(place.join("a").is_file() && place.join("b").is_dir());
    }

    #[test]
    fn a_folder_for_sockets_goes_with_its_run_whatever_others_put_beside_it() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path();
        // Of a run that was killed, and of another user, who holds locks as well.
        create(&dir.join("ssh-dead/socket")).unwrap();
        let pipe = dir.join("ssh-pipe");
        process::read(&Invocation::new("mkfifo").arg(&pipe), None).unwrap();
        let first = TemporaryFolder::private(dir, "ssh-", "").unwrap();
        assert!(!dir.join("ssh-dead").exists() && pipe.exists());
        let locked = File::open(dir).unwrap();
        locked.lock().unwrap();
        let second = TemporaryFolder::private(dir, "ssh-", "").unwrap();
        drop(locked);
        drop(TemporaryFolder::private(dir, "ssh-", "").unwrap());
        for folder in [first, second] {
            let path = folder.path().to_owned();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
            drop(folder);
            assert!(!path.exists());
        }
    }

    #[test]
    fn a_bare_name_lies_in_the_current_folder() {
        assert_eq!(folder_of(Path::new("check.xml")), Path::new("."));
        assert_eq!(folder_of(Path::new("a/b")), Path::new("a"));
    }

    #[test]
    fn the_checksum_is_the_files() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path();
        let file = dir.join("f");
        fs::write(&file, "abc").unwrap();
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        verify_sha256(&file, abc).unwrap();
        let error = verify_sha256(&file, &abc.replace('b', "c")).unwrap_err();
        assert!(error.to_string().contains(abc), "{error}");
    }
}
