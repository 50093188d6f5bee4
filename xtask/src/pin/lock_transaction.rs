//! Replaces flake.lock with one rename, after everything that it depends on is on disk. If the
//! power or the process fails at any moment, flake.lock is the old file or the complete new one.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::system::files::{self, Staged};
use crate::system::machine_lock;

/// An exclusive lock for updates of one fleet, until it is dropped. The kernel releases it when
/// the process ends.
#[derive(Debug)]
pub struct Reservation {
    _file: File,
}

/// Takes the exclusive lock for updates of this fleet.
///
/// # Errors
/// Another update of the fleet is running.
pub fn reserve(home: &Path, root: &Path) -> Result<Reservation> {
    let file = home.join("updates").join(format!("{}.busy", files::path_name(root)));
    match machine_lock::try_lock_file(&file)? {
        (file, true) => Ok(Reservation { _file: file }),
        (_, false) => bail!(
            "another update of {} is running: wait for it, then check `git diff flake.lock`",
            root.display()
        ),
    }
}

/// Checks that the file can be replaced, before anything is built, and removes temporary files of
/// a killed run.
///
/// # Errors
/// The folder is not writable, or the disk is full.
pub fn can_write(file: &Path) -> Result<()> {
    Staged::with(file, &[b'\n'; 16_384])
        .map(drop)
        .with_context(|| format!("{} would not be writable at the end", file.display()))
}

/// A file to replace, with the content that it must still have and the new content.
#[derive(Debug, Clone)]
pub struct Replacement {
    pub file: PathBuf,
    pub before: Option<String>,
    pub after: String,
}

/// Replaces the files in order. All are on disk under temporary names before the first rename,
/// and each rename is on disk before the next.
///
/// # Errors
/// A file has changed, or cannot be written; then no file is replaced.
pub fn apply(replacements: &[Replacement]) -> Result<()> {
    let mut staged = vec![];
    for Replacement { file, before, after } in replacements {
        let now = fs::read_to_string(file).ok();
        if now != *before {
            bail!(
                "{} changed while the update ran and was left alone; run the update again",
                file.display()
            );
        }
        if now.as_ref() == Some(after) {
            continue;
        }
        let new = Staged::with(file, after.as_bytes());
        staged.push((file, new.with_context(|| format!("cannot write {}", file.display()))?));
    }
    for (file, new) in staged {
        new.publish().with_context(|| format!("cannot replace {}", file.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replace(file: PathBuf, before: &str, after: &str) -> Replacement {
        Replacement { file, before: Some(before.into()), after: after.into() }
    }

    #[test]
    fn both_files_are_replaced_and_a_link_and_a_mode_stay() {
        use std::os::unix::fs::PermissionsExt;
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path();
        fs::write(dir.join("real"), "old").unwrap();
        fs::set_permissions(dir.join("real"), fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink("real", dir.join("flake.lock")).unwrap();
        fs::write(dir.join("pin"), "1").unwrap();
        let lock = replace(dir.join("flake.lock"), "old", "new");
        apply(&[replace(dir.join("pin"), "1", "2"), lock]).unwrap();
        assert_eq!(fs::read_to_string(dir.join("real")).unwrap(), "new");
        assert!(dir.join("flake.lock").symlink_metadata().unwrap().is_symlink());
        let mode = fs::metadata(dir.join("real")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
        assert_eq!(fs::read_dir(dir).unwrap().count(), 3);
    }

    #[test]
    fn if_one_file_changed_no_file_is_replaced() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path();
        fs::write(dir.join("flake.lock"), "edited").unwrap();
        fs::write(dir.join("pin"), "1").unwrap();
        let lock = replace(dir.join("flake.lock"), "old", "new");
        let error = apply(&[replace(dir.join("pin"), "1", "2"), lock]).unwrap_err();
        assert!(error.to_string().contains("flake.lock changed while"), "{error}");
        assert_eq!(fs::read_to_string(dir.join("pin")).unwrap(), "1");
        assert_eq!(fs::read_dir(dir).unwrap().count(), 2);
    }

    #[test]
    fn files_of_a_killed_run_are_removed() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path();
        let lock = dir.join("flake.lock");
        fs::write(&lock, "x").unwrap();
        fs::write(dir.join(".flake.lock.dead.tmp"), "x").unwrap();
        can_write(&lock).unwrap();
        assert!(!dir.join(".flake.lock.dead.tmp").exists());
        assert!(can_write(&dir.join("nowhere/flake.lock")).is_err());
    }

    #[test]
    fn a_fleet_has_one_update_at_a_time() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path();
        let first = reserve(dir, Path::new("/fleet")).unwrap();
        let error = reserve(dir, Path::new("/fleet")).unwrap_err();
        assert!(error.to_string().contains("another update of /fleet"), "{error}");
        reserve(dir, Path::new("/other")).unwrap();
        drop(first);
        reserve(dir, Path::new("/fleet")).unwrap();
    }
}
