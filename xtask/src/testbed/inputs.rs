//! The testbed's inputs: the lock file that replaces the real inputs by stand-ins, and whether the
//! real inputs can be fetched.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;
use std::{fs, thread};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::nix::cache_key::Entry;
use crate::nix::program::Nix;
use crate::nix::snapshot;
use crate::system::{disk, files, process};
use crate::testbed::lock_file::{self, StandIns};
use crate::testbed::revision::TestbedRevision;
use crate::testbed::{llama_tree, lock_creation};

/// Options of every Nix call in the testbed. No sandbox, because builds use the machine's compiler;
/// no substituters, because no binary cache has the testbed's packages; one build at a time, so
/// that the second variant of a source finds the first one's objects in ccache.
pub const NIX_OPTIONS: &[&str] =
    &["--option", "sandbox", "false", "--option", "substituters", "", "--max-jobs", "1"];

/// Number of lock files to keep, one per fleet and revision.
const LOCKS_KEPT: usize = 20;

/// Writes the lock file for `--reference-lock-file` and returns its path. Needs no network, and
/// hashes the testbed's files once.
///
/// # Errors
/// The set-up was not run, or the flake has an input without a stand-in.
pub fn lock_file(
    nix: &Nix,
    home: &Path,
    root: &Path,
    revision: TestbedRevision,
) -> Result<PathBuf> {
    if !llama_tree::is_present(home) {
        bail!("the testbed's llama.cpp trees are missing; run `cargo xtask setup` first");
    }
    let text = |path: &Path| {
        path.to_str().map(str::to_owned).with_context(|| format!("{path:?} is not UTF-8"))
    };
    let folder = folder(root)?;
    let locks = home.join("locks");
    disk::create(&locks)?;
    let hash_file = locks.join(format!("{}.hash", files::path_name(&folder)));
    let fleet_lock = root.join("flake.lock");
    let before = match fs::read_to_string(&fleet_lock) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            lock_creation::make(nix, home, root, &folder, revision.tree())?
        }
        Err(error) => {
            return Err(error).context(format!("cannot read {}", fleet_lock.display()));
        }
    };
    let after = lock_file::with_stand_ins(
        &before,
        &StandIns {
            folder: &text(&folder)?,
            nar_hash: &nar_hash(nix, &folder, &hash_file)?,
            flakes: &flakes(&folder)?,
            repository: &text(&llama_tree::repository(home))?,
            tree: revision.tree(),
        },
    )
    .with_context(|| format!("cannot use {}", fleet_lock.display()))?;

    let name = format!("{}-{}.lock", files::path_name(root), revision.name());
    let file = locks.join(name);
    // Not rewritten if unchanged, so that concurrent runs do not disturb each other.
    if fs::read_to_string(&file).ok().as_deref() != Some(after.as_str()) {
        files::write_atomically(&file, after.as_bytes())?;
        // Remove the files of old fleets, except those of the last day, which a run may still use.
        let day = Duration::from_secs(86_400);
        files::prune(&locks, LOCKS_KEPT, day, |name| name.ends_with(".lock"));
    }
    Ok(file)
}

/// Returns the fleet's testbed if it has one, else xtask's: in the checkout that xtask was compiled
/// in, or in its package (pkgs/xtask/package.nix).
fn folder(root: &Path) -> Result<PathBuf> {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testbed");
    let packaged = option_env!("LLAMAFLEET_SHARE").map(|share| Path::new(share).join("testbed"));
    for folder in [Some(root.join("testbed")), Some(checkout), packaged].into_iter().flatten() {
        if folder.join("nixpkgs/flake.nix").is_file() {
            return fs::canonicalize(&folder)
                .with_context(|| format!("cannot resolve {}", folder.display()));
        }
    }
    bail!("no testbed/ in {}", root.display())
}

/// Returns the testbed's folders that are flakes.
pub(crate) fn flakes(folder: &Path) -> Result<Vec<String>> {
    let mut flakes: Vec<String> = fs::read_dir(folder)
        .with_context(|| format!("cannot read {}", folder.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.join("flake.nix").is_file())
        .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
        .collect();
    flakes.sort();
    Ok(flakes)
}

/// The fields used of `nix flake prefetch --json`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Prefetched {
    hash: String,
    store_path: PathBuf,
}

/// A cached hash, valid while the folder's files are unchanged.
#[derive(Serialize, Deserialize)]
struct Known {
    folder: PathBuf,
    files: BTreeMap<String, Entry>,
    prefetched: Prefetched,
}

/// Copies the folder to the store and returns its hash. Caches the hash in `hash_file`, because
/// every command needs it, and runs Nix only if a file changed.
fn nar_hash(nix: &Nix, folder: &Path, hash_file: &Path) -> Result<String> {
    let files = snapshot::folder(folder)?;
    let known =
        fs::read_to_string(hash_file).ok().and_then(|text| serde_json::from_str(&text).ok());
    if let Some(Known { folder: of, files: then, prefetched }) = known
        && (of.as_path(), &then) == (folder, &files)
        && prefetched.store_path.exists()
    {
        return Ok(prefetched.hash);
    }
    let reference = format!("path:{}", folder.display());
    let call = nix.command(["flake", "prefetch", "--json", &reference]);
    let printed = process::read(&call, Some(Duration::from_secs(60)))?;
    let prefetched: Prefetched = serde_json::from_str(&printed)
        .with_context(|| format!("unexpected output from `{call}`: {printed}"))?;
    let hash = prefetched.hash.clone();
    // Not cached if the folder changed meanwhile.
    if snapshot::folder(folder)? == files {
        let known = Known { folder: folder.to_owned(), files, prefetched };
        files::write_atomically(hash_file, serde_json::to_string(&known)?.as_bytes())?;
    }
    Ok(hash)
}

/// Returns whether the real inputs can be fetched: whether GitHub accepts a connection within
/// seconds.
pub fn inputs_reachable() -> bool {
    let time = Duration::from_millis(1500);
    let (sender, answer) = mpsc::channel();
    // Name resolution may take longer than the timeout, so it runs in a thread that is not joined.
    thread::spawn(move || {
        let addresses = ("github.com", 443).to_socket_addrs();
        let mut addresses = addresses.into_iter().flatten().take(2);
        let _ = sender.send(addresses.any(|to| TcpStream::connect_timeout(&to, time).is_ok()));
    });
    answer.recv_timeout(2 * time).unwrap_or(false)
}
