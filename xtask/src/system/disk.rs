//! The disk: atomically created folders, free space and checksums. A folder is filled under a
//! temporary name beside its destination, then renamed. The process that fills it holds a lock on
//! it, so the next run removes only what a killed run left behind.

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
    /// A lock that shows other runs that this one is alive.
    _claim: File,
}

impl TemporaryFolder {
    /// Creates PREFIX + random letters + `name`. Later runs find what a killed run left by the
    /// prefix.
    pub fn new(parent: &Path, prefix: &str, name: &str) -> Result<Self> {
        create(parent)?;
        // The shared lock keeps other runs from sweeping between the two steps.
        Self::claimed(parent, prefix, name, 0o777, File::lock_shared)
    }

    /// Like [`Self::new`], but readable by this user only, in a folder that other users may also
    /// write to and lock: their locks are not waited for.
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

/// Removes the files and folders in `folder` that no running process has locked, if it can. Does
/// nothing while a process writes to `folder`: waiting for a lock that this process itself holds
/// would never end.
pub fn sweep(folder: &Path, is_meant: impl Fn(&str) -> bool) {
    let Ok(whole) = File::open(folder) else { return };
    if whole.try_lock().is_err() {
        return;
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        // Opening another user's named pipe would block.
        let is_ours = entry.file_type().is_ok_and(|kind| kind.is_file() || kind.is_dir());
        let abandoned = || File::open(&path).is_ok_and(|found| found.try_lock().is_ok());
        if is_ours && is_meant(&entry.file_name().to_string_lossy()) && abandoned() {
            let _ = remove(&path);
        }
    }
}

/// Returns the folder that contains a file; for a bare name, the current one.
pub fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        parent => parent.unwrap_or(Path::new("/")),
    }
}

/// Lets `make` fill an empty folder, then renames it to `dir`. `dir` is complete or, after a kill
/// between the two renames, missing.
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

/// Returns the regular files in the folder, without links.
pub fn files_of(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let plain =
        entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    Ok(plain.map(|entry| entry.path()).collect())
}

/// Returns the bytes that this user can still write below `path`, which need not exist.
pub fn free_bytes(path: &Path) -> Result<u64> {
    let existing = path.ancestors().find(|dir| dir.exists()).unwrap_or(Path::new("/"));
    let (_, bytes) = fullest(&[existing])
        .with_context(|| format!("`df` does not print the free space of {}", path.display()))?;
    Ok(bytes)
}

/// Returns the mount point and the free bytes of the fullest file system that contains one of
/// these paths.
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

/// Compares a file with its checksum.
///
/// # Errors
/// They differ, or `sha256sum` fails.
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
    use crate::system::files;

    #[test]
    fn a_folder_appears_only_when_it_is_complete() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path();
        let place = dir.join("it");
        let failed: Result<()> = make_folder(&place, |partial| {
            fs::write(partial.join("a"), "1")?;
            bail!("killed")
        });
        assert!(failed.is_err() && !place.exists());
        assert_eq!(fs::read_dir(dir).unwrap().count(), 0);
        // The next run removes the incomplete folder of a killed one.
        create(&dir.join(".it.dead/x")).unwrap();
        make_folder(&place, |partial| Ok(fs::write(partial.join("b"), "2")?)).unwrap();
        assert!(!place.join("a").exists() && place.join("b").exists());
        make_folder(&place, |partial| Ok(fs::write(partial.join("c"), "3")?)).unwrap();
        assert!(!place.join("b").exists() && place.join("c").exists());
        assert_eq!(fs::read_dir(dir).unwrap().count(), 1);
    }

    #[test]
    fn files_and_folders_can_be_written_to_an_incomplete_folder() {
        let scratch = tempfile::tempdir().unwrap();
        let (done, is_done) = std::sync::mpsc::channel();
        let place = scratch.path().join("it");
        let made = place.clone();
        std::thread::spawn(move || {
            let made = make_folder(&made, |partial| {
                files::write_atomically(&partial.join("a"), b"1")?;
                make_folder(&partial.join("b"), |_| Ok(()))
            });
            let _ = done.send(made.is_ok());
        });
        assert_eq!(is_done.recv_timeout(Duration::from_secs(20)), Ok(true));
        assert!(place.join("a").is_file() && place.join("b").is_dir());
    }

    #[test]
    fn a_private_folder_is_removed_whatever_other_runs_and_users_create_beside_it() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path();
        // The folder of a killed run, and a file of another user, who may hold locks, too.
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
    fn a_bare_file_name_is_in_the_current_folder() {
        assert_eq!(folder_of(Path::new("check.xml")), Path::new("."));
        assert_eq!(folder_of(Path::new("a/b")), Path::new("a"));
    }

    #[test]
    fn a_wrong_checksum_is_an_error_with_the_files_checksum() {
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
