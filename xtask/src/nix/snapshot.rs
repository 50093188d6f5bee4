//! Takes a flake's [`Snapshot`]: its files as Nix sees them, and everything else that Nix reads.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Metadata};
use std::hash::{Hash, Hasher};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::nix::cache_key::{Entry, Snapshot, unpinned};
use crate::nix::flake::Flake;
use crate::nix::tree_copy;
use crate::system::process::{self, Invocation};

const QUICK: Duration = Duration::from_secs(20);
/// Maximum arguments of one `git hash-object`, far below the kernel's limit.
const FILES_A_CALL: usize = 2000;

/// Takes the snapshot of a flake in the folder `root`.
///
/// # Errors
/// Something that Nix reads is unknown, so results for this flake must not be cached.
pub fn take(flake: &Flake, home: &Path, root: &Path) -> Result<Snapshot> {
    // Set in a Git hook, for example: then Git uses another index than Nix.
    if let Some(name) = ["GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE"]
        .iter()
        .find(|name| std::env::var_os(name).is_some())
    {
        bail!("{name} is set");
    }
    let tree = fs::canonicalize(root).context("the flake's folder is gone")?;
    let repository = tree.ancestors().find(|folder| folder.join(".git").exists());
    let (head, mut files) = match repository {
        Some(repository) => tracked(repository)?,
        None => (String::new(), walked(&tree)?),
    };
    let folder = repository.unwrap_or(&tree);
    hash(folder, &mut files)?;
    Ok(Snapshot { environment: environment(flake, home, &tree)?, head, files })
}

/// Returns every file of a folder, without times of modification.
pub fn folder(folder: &Path) -> Result<BTreeMap<String, Entry>> {
    let mut files = walked(folder)?;
    files.values_mut().for_each(|entry| entry.index.clear());
    hash(folder, &mut files)?;
    Ok(files)
}

fn git(folder: &Path, words: &[&str]) -> Result<Vec<u8>> {
    let call = Invocation::new("git").arg("-C").arg(folder).args(words.iter().copied());
    let captured = process::capture(&call, Some(QUICK))?;
    if !captured.exit.ok() {
        bail!("`{call}`: {}", captured.stderr_text().trim());
    }
    Ok(captured.stdout)
}

/// Lists what Git tracks, which is what Nix sees, and returns it with the commit.
fn tracked(repository: &Path) -> Result<(String, BTreeMap<String, Entry>)> {
    // Before the first commit there is no HEAD.
    let head = git(repository, &["rev-parse", "HEAD"]).unwrap_or_default();
    // Without -z: capture() truncates long output without line breaks.
    let words = ["-c", "core.quotePath=off", "ls-files", "--stage", "-v"];
    let listed = git(repository, &words)?;
    let listed = String::from_utf8(listed).context("a file's name is not UTF-8")?;
    let mut files = BTreeMap::new();
    for line in listed.lines() {
        let (index, name) = line.split_once('\t').context("unexpected output of git ls-files")?;
        if name.starts_with('"') {
            bail!("Git quotes the file name {name}");
        }
        if index.contains(" 160000 ") {
            bail!("{name} is a submodule, whose files are not tracked here");
        }
        let kind = kind(&repository.join(name))?;
        files.insert(name.to_owned(), Entry { index: index.to_owned(), kind, hash: String::new() });
    }
    Ok((String::from_utf8_lossy(&head).trim().to_owned(), files))
}

/// Lists all files and folders. Without Git, Nix copies the whole folder, and passes the latest
/// time of modification to the flake.
fn walked(root: &Path) -> Result<BTreeMap<String, Entry>> {
    let entry = |(name, about): (String, Metadata)| {
        let index = format!("{}.{}", about.mtime(), about.mtime_nsec());
        let kind = kind(&root.join(&name))?;
        Ok((name, Entry { index, kind, hash: String::new() }))
    };
    tree_copy::walk(root)?.into_iter().map(entry).collect()
}

fn kind(path: &Path) -> Result<String> {
    let about = match path.symlink_metadata() {
        Ok(about) => about,
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)) => {
            return Ok("absent".to_owned());
        }
        Err(error) => return Err(error).context(format!("cannot look at {}", path.display())),
    };
    Ok(if about.is_symlink() {
        format!("-> {}", fs::read_link(path).context("a link is gone")?.display())
    } else if about.is_dir() {
        "folder".to_owned()
    } else if !about.is_file() {
        bail!("{} is not a file", path.display())
    } else if about.permissions().mode() & 0o100 != 0 {
        "executable".to_owned()
    } else {
        "file".to_owned()
    })
}

/// Hashes the contents without Git's filters, and without trusting size and time.
fn hash(folder: &Path, files: &mut BTreeMap<String, Entry>) -> Result<()> {
    let mut regular: Vec<(&String, &mut Entry)> = files
        .iter_mut()
        .filter(|(_, entry)| entry.kind == "file" || entry.kind == "executable")
        .collect();
    for chunk in regular.chunks_mut(FILES_A_CALL) {
        let mut words = vec!["hash-object", "--no-filters", "--"];
        words.extend(chunk.iter().map(|(name, _)| name.as_str()));
        let printed = String::from_utf8(git(folder, &words)?).context("git hash-object")?;
        if printed.lines().count() != chunk.len() {
            bail!("git hash-object printed too few hashes");
        }
        for ((_, entry), hash) in chunk.iter_mut().zip(printed.lines()) {
            entry.hash = hash.to_owned();
        }
    }
    Ok(())
}

fn environment(flake: &Flake, home: &Path, root: &Path) -> Result<BTreeMap<String, String>> {
    let own = std::env::current_exe().context("cannot find the path of xtask")?;
    let nix = fs::canonicalize(&flake.nix.program).context("Nix is gone")?;
    let mut all = BTreeMap::from([
        ("xtask".to_owned(), stamp(&own)?),
        ("Nix".to_owned(), format!("{} {}", flake.nix.version, stamp(&nix)?)),
        ("the flake's location".to_owned(), format!("{} {}", flake.reference, root.display())),
        ("Nix's options".to_owned(), format!("{:?} {:?}", flake.nix.options, flake.options)),
    ]);
    let lock = flake.reference_lock_file().unwrap_or_else(|| root.join("flake.lock"));
    if let Ok(text) = fs::read_to_string(&lock) {
        if let Some(input) = unpinned(&text) {
            bail!("flake.lock does not pin {input} by its content");
        }
        all.insert("the lock file".to_owned(), digest(&text));
    }
    let is_read =
        |name: &str| name.starts_with("NIX_") || name == "HOME" || name.starts_with("XDG_");
    let variables: BTreeSet<(String, String)> = std::env::vars_os()
        .map(|(name, value)| {
            (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned())
        })
        .filter(|(name, _)| is_read(name))
        .collect();
    all.insert("the environment".to_owned(), digest(&variables));
    all.insert("nix.conf".to_owned(), digest(&configuration(home)));
    Ok(all)
}

/// Returns a program's path, size and times, which change when it is replaced.
fn stamp(program: &Path) -> Result<String> {
    let about = fs::metadata(program).context("a program is gone")?;
    let times = (about.mtime(), about.mtime_nsec(), about.ctime(), about.ctime_nsec());
    Ok(format!("{} {} {times:?}", program.display(), about.len()))
}

/// Returns a digest, because settings can contain access tokens.
fn digest(what: &impl Hash) -> String {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// Returns the text of every nix.conf that Nix reads, and of the files that these include.
fn configuration(home: &Path) -> Vec<(PathBuf, String)> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let folder = |name: &str, otherwise: &str| {
        variable(name).map_or_else(|| PathBuf::from(otherwise), PathBuf::from)
    };
    let user = folder("HOME", "/").join(".config");
    let mut queue = vec![
        home.join("nix/conf/nix.conf"),
        folder("NIX_CONF_DIR", "/etc/nix").join("nix.conf"),
        variable("XDG_CONFIG_HOME").map_or(user, PathBuf::from).join("nix/nix.conf"),
    ];
    let list = variable("XDG_CONFIG_DIRS").unwrap_or_else(|| "/etc/xdg".into());
    queue.extend(std::env::split_paths(&list).map(|folder| folder.join("nix/nix.conf")));
    if let Some(list) = variable("NIX_USER_CONF_FILES") {
        queue.extend(std::env::split_paths(&list));
    }
    let mut texts: Vec<(PathBuf, String)> = vec![];
    while let Some(file) = queue.pop() {
        if texts.iter().any(|(known, _)| *known == file) {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap_or_default();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            if let (Some("include" | "!include"), Some(name)) = (words.next(), words.next()) {
                queue.push(file.parent().unwrap_or(Path::new("/")).join(name));
            }
        }
        texts.push((file, text));
    }
    texts
}
