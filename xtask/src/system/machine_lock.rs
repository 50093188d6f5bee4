//! Allows one bench at a time on a machine: concurrent runs would disturb each other. The kernel
//! releases the lock when the process exits, however it exits.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::system::{disk, files, interrupt};

/// A lock that is held until this is dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Returns the lock file of a target, shared by one user's runs on this machine.
pub fn bench_lock(home: &Path, target: &str) -> PathBuf {
    home.join("locks").join(format!("bench-{}.lock", files::safe_name(target)))
}

/// Opens a lock file, and creates it if it is missing. Returns it, and whether it is locked now.
pub fn try_lock_file(place: &Path) -> Result<(File, bool)> {
    disk::create(disk::folder_of(place))?;
    let opened = File::options().read(true).write(true).create(true).truncate(false).open(place);
    let file = opened.with_context(|| format!("cannot open {}", place.display()))?;
    match file.try_lock() {
        Ok(()) => Ok((file, true)),
        Err(TryLockError::WouldBlock) => Ok((file, false)),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", place.display()))
        }
    }
}

/// Returns the lock, or the process ID and command of its holder, as far as they are known.
pub fn try_lock(place: &Path, words: &str) -> Result<Result<Lock, String>> {
    let (mut file, is_locked) = try_lock_file(place)?;
    if !is_locked {
        let holder = fs::read_to_string(place).unwrap_or_default();
        return Ok(Err(holder.lines().next().unwrap_or("another process").to_owned()));
    }
    // The previous holder's text may be longer.
    let written = file.set_len(0).and_then(|()| {
        file.write_all(format!("process {}, {words}\n", std::process::id()).as_bytes())
    });
    written.with_context(|| format!("cannot write to {}", place.display()))?;
    Ok(Ok(Lock { _file: file }))
}

/// Waits for the lock. Calls `waiting` once with the holder.
pub fn lock(place: &Path, words: &str, waiting: &dyn Fn(&str)) -> Result<Lock> {
    let mut reported = false;
    loop {
        match try_lock(place, words)? {
            Ok(lock) => return Ok(lock),
            Err(holder) => {
                if !std::mem::replace(&mut reported, true) {
                    waiting(&holder);
                }
            }
        }
        interrupt::check()?;
        thread::sleep(Duration::from_millis(200));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_lock_names_its_holder_and_is_free_afterwards() {
        let home = std::env::temp_dir().join(format!("xtask-lock-{}", std::process::id()));
        let place = bench_lock(&home, "root@[::1]:22/../x");
        assert!(
            place.starts_with(home.join("locks")) && place.parent() == Some(&home.join("locks"))
        );
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(&place, "a long line that a killed process left in the middle of the file\n")
            .unwrap();
        let first = try_lock(&place, "bench a").unwrap().unwrap();
        let holder = try_lock(&place, "bench b").unwrap().unwrap_err();
        assert_eq!(holder, format!("process {}, bench a", std::process::id()));
        drop(first);
        assert!(try_lock(&place, "bench b").unwrap().is_ok());
        fs::remove_dir_all(home).unwrap();
    }
}
