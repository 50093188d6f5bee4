//! Files that must be whole or absent.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};

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
