//! Files that must be whole or absent.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::system::disk;

/// Writes beside the file and renames: a reader, a full disk or a kill never sees half of it.
pub fn write_atomically(file: &Path, bytes: &[u8]) -> Result<()> {
    let temporary = temporary_name(file);
    let written = File::create(&temporary).and_then(|mut handle| {
        handle.write_all(bytes)?;
        handle.sync_all()
    });
    let renamed = written.and_then(|()| fs::rename(&temporary, file));
    if renamed.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    renamed.with_context(|| format!("cannot write {}", file.display()))
}

/// For a file that others write to as well.
pub fn append(file: &Path, text: &str) -> Result<()> {
    let opened = File::options().append(true).create(true).open(file);
    opened
        .and_then(|mut handle| handle.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write to {}", file.display()))
}

pub fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

/// Of what lies in the folder and has such a name, leaves the newest `keep`, and whatever
/// is younger than `age`: another run may be at it.
pub fn prune(folder: &Path, keep: usize, age: Duration, is_meant: impl Fn(&str) -> bool) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<_> = entries
        .filter(|entry| is_meant(&entry.file_name().to_string_lossy()))
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    found.sort();
    let old = found.len().saturating_sub(keep);
    for (modified, path) in found.into_iter().take(old) {
        if modified.elapsed().is_ok_and(|elapsed| elapsed >= age) {
            let _ = disk::remove(&path);
        }
    }
}

/// In the same folder, so that the rename is atomic; named after this process, so that
/// two runs do not write into one another.
pub fn temporary_name(file: &Path) -> std::path::PathBuf {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    file.with_file_name(format!(".{name}.{}.tmp", std::process::id()))
}

/// A file name for any text: a hostile host name cannot leave its folder.
pub fn safe_name(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_+.".contains(c);
    let name: String = text.chars().map(|c| if plain(c) { c } else { '_' }).collect();
    let name = name.trim_start_matches('.').to_owned();
    if name.is_empty() { "_".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_folder() {
        assert_eq!(safe_name("../../etc/passwd"), "_.._etc_passwd");
        assert_eq!(safe_name(".."), "_");
        assert_eq!(safe_name("cpu+rocm-x.1"), "cpu+rocm-x.1");
    }

    #[test]
    fn the_newest_of_what_is_meant_stay() {
        let dir = std::env::temp_dir().join(format!("xtask-prune-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        for (at, name) in ["c.lock", "a.lock", "other", "b.lock"].into_iter().enumerate() {
            let file = File::create(dir.join(name)).unwrap();
            let seconds = 1_000_000 + u64::try_from(at).unwrap();
            file.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
        }
        fs::write(dir.join("new.lock"), "").unwrap();
        let is_lock = |name: &str| name.ends_with(".lock");
        prune(&dir, 2, Duration::from_secs(3600), is_lock);
        let left = || {
            let names = fs::read_dir(&dir).unwrap().map(|it| it.unwrap().file_name());
            let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
            names.sort();
            names
        };
        assert_eq!(left(), ["b.lock", "new.lock", "other"]);
        // What is young stays, however many there are.
        prune(&dir, 0, Duration::from_secs(3600), is_lock);
        assert_eq!(left(), ["new.lock", "other"]);
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn what_cannot_be_written_leaves_nothing() {
        let dir = std::env::temp_dir().join(format!("xtask-files-{}", std::process::id()));
        fs::create_dir_all(dir.join("target")).unwrap();
        // The destination is a folder: the rename fails.
        assert!(write_atomically(&dir.join("target"), b"x").is_err());
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
        write_atomically(&dir.join("file"), b"x").unwrap();
        assert_eq!(fs::read(dir.join("file")).unwrap(), b"x");
        fs::remove_dir_all(dir).unwrap();
    }
}
