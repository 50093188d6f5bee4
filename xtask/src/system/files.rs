//! Atomic writes and small file helpers.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::hash::Hasher as _;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use fnv::FnvHasher;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use tempfile::NamedTempFile;

use crate::system::disk;

/// Longest name, in bytes, that suffixes are added to; file systems allow 255.
const LONGEST_NAME: usize = 180;
/// The lock file of a hundred inputs has 60 KB, the log of a large build a few megabytes.
const LARGEST_FILE: u64 = 32 << 20;

/// The end of every temporary file's name.
const TEMPORARY: &str = ".tmp";

/// A complete file on the disk that is about to replace another. Dropping it removes it.
#[derive(Debug)]
pub struct Staged {
    temporary: NamedTempFile,
    file: PathBuf,
}

impl Staged {
    /// An empty one beside `file`. Where `file` is a symbolic link, the link stays and the
    /// file it points to is replaced; an existing file's mode stays.
    pub fn new(file: &Path) -> io::Result<Self> {
        let file = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
        let folder = disk::folder_of(&file);
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        // Sweeping once per process is enough.
        static SWEPT: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
        if SWEPT.lock().unwrap_or_else(PoisonError::into_inner).insert(file.clone()) {
            sweep(&file);
        }
        // Other runs must not sweep the file before it is locked.
        let whole = File::open(folder)?;
        whole.lock_shared()?;
        let temporary = tempfile::Builder::new()
            .prefix(&format!(".{name}."))
            .suffix(TEMPORARY)
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(folder)?;
        temporary.as_file().lock()?;
        if let Ok(about) = fs::metadata(&file) {
            temporary.as_file().set_permissions(about.permissions())?;
        }
        Ok(Self { temporary, file })
    }

    pub fn with(file: &Path, bytes: &[u8]) -> io::Result<Self> {
        let mut staged = Self::new(file)?;
        staged.as_file().write_all(bytes)?;
        Ok(staged)
    }

    pub fn as_file(&mut self) -> &mut File {
        self.temporary.as_file_mut()
    }

    /// Renames it to the file's name, and flushes file and folder to the disk.
    pub fn publish(self) -> io::Result<()> {
        self.temporary.as_file().sync_all()?;
        let folder = disk::folder_of(&self.file);
        self.temporary.persist(&self.file).map_err(|error| error.error)?;
        // A rename is durable once its folder is flushed.
        File::open(folder)?.sync_all()
    }
}

/// Removes what killed runs left beside `file`.
fn sweep(file: &Path) {
    let prefix = format!(".{}.", file.file_name().unwrap_or_default().to_string_lossy());
    let folder = disk::folder_of(file);
    disk::sweep(folder, |name| name.starts_with(&prefix) && name.ends_with(TEMPORARY));
}

/// Reads a text file of at most `limit` bytes that another program wrote.
pub fn read_limited(file: &Path, limit: u64) -> io::Result<String> {
    let mut text = String::new();
    let read = File::open(file)?.take(limit + 1).read_to_string(&mut text)?;
    if read as u64 > limit {
        let message = format!("larger than {limit} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(text)
}

/// Writes a temporary file beside this one and renames it, so that a full disk or a kill leaves
/// no partial file and no reader sees one.
pub fn write_atomically(file: &Path, bytes: &[u8]) -> Result<()> {
    let written = Staged::with(file, bytes).and_then(Staged::publish);
    written.with_context(|| format!("cannot write {}", file.display()))
}

/// Like [`write_atomically`], for a file that others also write to.
pub fn append(file: &Path, text: &str) -> Result<()> {
    let opened = File::options().append(true).create(true).open(file);
    opened
        .and_then(|mut handle| handle.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write to {}", file.display()))
}

/// Reads a text file with a size limit, since a link may lead to /dev/zero.
pub fn read(file: &Path) -> Result<String> {
    read_limited(file, LARGEST_FILE).with_context(|| format!("cannot read {}", file.display()))
}

/// Of the folder's entries with such a name, keeps the `newest`, and those younger than `age`,
/// which another run may still use; removes the rest.
pub fn prune(folder: &Path, newest: usize, age: Duration, is_meant: impl Fn(&str) -> bool) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<_> = entries
        .filter(|entry| is_meant(&entry.file_name().to_string_lossy()))
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    found.sort();
    let old = found.len().saturating_sub(newest);
    for (modified, path) in found.into_iter().take(old) {
        if modified.elapsed().is_ok_and(|elapsed| elapsed >= age) {
            let _ = disk::remove(&path);
        }
    }
}

/// Makes a file name from any text: a hostile host name cannot leave its folder.
pub fn safe_name(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_+.".contains(c);
    let name: String = text.chars().map(|c| if plain(c) { c } else { '_' }).collect();
    let name = name.trim_start_matches('.').to_owned();
    if name.is_empty() { "_".to_owned() } else { name }
}

/// Makes a file name from a path or a URL. Different ones get different names; of a very long one
/// only the end and a hash are used.
pub fn path_name(path: &Path) -> String {
    // `_` stands for `/`, so a real `_` is percent-encoded.
    const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'+').remove(b'.');
    let name = percent_encode(path.as_os_str().as_bytes(), PLAIN).to_string().replace('/', "_");
    let name = match name.strip_prefix('.') {
        Some(rest) => format!("%2E{rest}"),
        None => name,
    };
    if name.len() <= LONGEST_NAME {
        return name;
    }
    let mut hash = FnvHasher::default();
    hash.write(name.as_bytes());
    format!("{:016x}-{}", hash.finish(), &name[name.len() - LONGEST_NAME + 32..])
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
    fn different_paths_have_different_names() {
        let long = |end: &str| format!("/{}/{end}", "a".repeat(250));
        let (one, other) = (format!("{}/x", long("b")), format!("{}/x", long("c")));
        let paths = [
            "/x/a/b", "/x/a_b", "/x_a/b", "/x/a b", "/x/a%20b", "/x/a_/b", "/x/a/_b", &one, &other,
        ];
        let names: BTreeSet<String> = paths.iter().map(|path| path_name(Path::new(path))).collect();
        assert_eq!(names.len(), paths.len(), "{names:?}");
        assert!(names.iter().all(|name| name.len() < 200 && !name.contains('/')), "{names:?}");
        assert_eq!(path_name(Path::new("/home/me/fleet")), "_home_me_fleet");
        assert_eq!(path_name(Path::new("../x")), "%2E._x");
    }

    #[test]
    fn the_newest_matching_files_are_kept() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path();
        for (at, name) in ["c.lock", "a.lock", "other", "b.lock"].into_iter().enumerate() {
            let file = File::create(dir.join(name)).unwrap();
            let seconds = 1_000_000 + u64::try_from(at).unwrap();
            file.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
        }
        fs::write(dir.join("new.lock"), "").unwrap();
        let is_lock = |name: &str| name.ends_with(".lock");
        prune(dir, 2, Duration::from_secs(3600), is_lock);
        let left = || {
            let names = fs::read_dir(dir).unwrap().map(|it| it.unwrap().file_name());
            let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
            names.sort();
            names
        };
        assert_eq!(left(), ["b.lock", "new.lock", "other"]);
        // Recent files are kept, whatever their number.
        prune(dir, 0, Duration::from_secs(3600), is_lock);
        assert_eq!(left(), ["new.lock", "other"]);
    }

    #[test]
    fn a_failed_write_leaves_no_file() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path();
        fs::create_dir_all(dir.join("target")).unwrap();
        // The destination is a folder: the rename fails.
        assert!(write_atomically(&dir.join("target"), b"x").is_err());
        assert_eq!(fs::read_dir(dir).unwrap().count(), 1);
        write_atomically(&dir.join("file"), b"x").unwrap();
        assert_eq!(fs::read(dir.join("file")).unwrap(), b"x");
    }

    #[test]
    fn links_and_permissions_are_kept() {
        let scratch = tempfile::tempdir().unwrap();
        let (real, link) = (scratch.path().join("real"), scratch.path().join("link"));
        fs::write(&real, "old").unwrap();
        fs::set_permissions(&real, Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink("real", &link).unwrap();
        write_atomically(&link, b"new").unwrap();
        assert_eq!(fs::read(&real).unwrap(), b"new");
        assert!(link.symlink_metadata().unwrap().is_symlink());
        assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
    }

    #[test]
    fn only_temporary_files_of_killed_runs_are_removed() {
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("flake.lock");
        let running = Staged::with(&file, b"x").unwrap();
        fs::write(scratch.path().join(".flake.lock.dead.tmp"), "x").unwrap();
        sweep(&file);
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 1);
        running.publish().unwrap();
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 1);
        assert_eq!(fs::read(&file).unwrap(), b"x");
        // Only the first write to a folder looks for files of killed runs.
        fs::write(scratch.path().join(".flake.lock.dead.tmp"), "x").unwrap();
        write_atomically(&file, b"y").unwrap();
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 2);
    }
}
