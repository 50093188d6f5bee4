//! Queries the Nix store: which paths are valid or missing, and their sizes. Copies paths to
//! another store.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::nix::names::{DrvPath, StorePath};
use crate::nix::program::Nix;
use crate::system::process::{self, Captured};
use crate::ui::sanitize::sanitize;

/// Timeout of a query to another store.
const TIMEOUT: Duration = Duration::from_secs(60);
const GRACE: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PathInfo {
    #[serde(default)]
    pub closure_size: Option<u64>,
}

/// Returns the valid paths among these, with the size of their closure in bytes.
pub fn valid(nix: &Nix, paths: &BTreeSet<StorePath>) -> Result<BTreeMap<StorePath, PathInfo>> {
    if paths.is_empty() {
        return Ok(BTreeMap::new());
    }
    let call = nix
        .command(["path-info", "--json", "--closure-size", "--offline"])
        .args(paths.iter().map(StorePath::as_str))
        .for_the_report();
    let answer = process::capture(&call, None)?;
    // Nix prints `null` for what is not valid; some versions then also exit with 1.
    let table: BTreeMap<StorePath, Option<PathInfo>> = serde_json::from_slice(&answer.stdout)
        .with_context(|| {
            format!(
                "`{call}` ({}) printed no table of paths: {}",
                answer.exit,
                answer.stderr_text()
            )
        })?;
    Ok(table.into_iter().filter_map(|(path, info)| Some((path, info?))).collect())
}

/// Returns the closure of a valid path, with the size of each path in bytes.
pub fn closure(nix: &Nix, path: &StorePath) -> Result<BTreeMap<StorePath, u64>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Info {
        nar_size: u64,
    }
    let call = nix.command(["path-info", "--json", "--recursive", "--offline"]);
    let call = call.arg(path.as_str()).for_the_report();
    let table: BTreeMap<StorePath, Info> = serde_json::from_str(&process::read(&call, None)?)
        .with_context(|| format!("`{call}` printed no table of paths"))?;
    Ok(table.into_iter().map(|(path, info)| (path, info.nar_size)).collect())
}

/// Returns whether the path exists in the file system: cheap enough for every event of a build.
/// Only [`valid`] guarantees that it is valid.
pub fn exists(path: &StorePath) -> bool {
    std::path::Path::new(path.as_str()).exists()
}

/// Returns what `nix build` would build and fetch for these derivations.
///
/// # Errors
/// Nix fails; the error contains its message.
pub fn missing(nix: &Nix, drvs: &[&DrvPath]) -> Result<Missing> {
    if drvs.is_empty() {
        return Ok(Missing::default());
    }
    let call = nix
        .command(["build", "--dry-run", "--no-link", "--keep-going"])
        .args(drvs.iter().map(|drv| drv.all_outputs()));
    let answer = process::capture(&call, None)?;
    if !answer.exit.ok() {
        bail!("`{call}`: {}\n{}", answer.exit, sanitize(answer.stderr_text().trim()));
    }
    Ok(Missing::parse(&answer.stderr_text()))
}

/// Checks that another store can be reached.
pub fn ping(nix: &Nix, store: &str) -> Result<Captured> {
    let call = nix.command(["store", "info", "--store", store]).grace(GRACE);
    process::capture(&call, Some(TIMEOUT))
}

/// Copies a path and its closure to another store.
pub fn push(nix: &Nix, store: &str, path: &StorePath) -> Result<Captured> {
    let call = nix.command(["copy", "--to", store, path.as_str()]).grace(GRACE);
    process::capture(&call, None)
}

/// Returns the names of the keys that signed a path of another store; `None` if the store does
/// not have the path.
pub fn signers(nix: &Nix, store: &str, path: &StorePath) -> Result<Option<Vec<String>>> {
    let call = nix.command(["path-info", "--json", "--store", store, path.as_str()]);
    let printed = process::read(&call, Some(TIMEOUT))?;
    #[derive(Deserialize)]
    struct Info {
        #[serde(default)]
        signatures: Vec<String>,
    }
    let table: BTreeMap<String, Option<Info>> =
        serde_json::from_str(&printed).with_context(|| format!("`{call}` printed no table"))?;
    let info = table.into_values().next().flatten();
    Ok(info.map(|info| {
        let name = |signature: &String| signature.split(':').next().unwrap_or_default().to_owned();
        info.signatures.iter().map(name).collect()
    }))
}

/// What is missing, according to `nix build --dry-run`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Missing {
    pub build: BTreeSet<DrvPath>,
    pub fetch: BTreeSet<StorePath>,
    /// Bytes to download, and their size when unpacked.
    pub download: u64,
    pub unpacked: u64,
}

impl Missing {
    /// Parses the output, which Nix only prints as text: `these 2 derivations will be built:` or
    /// `this path will be fetched (0.01 MiB download, 0.03 MiB unpacked):`, each followed by
    /// indented paths. Source: `printMissing` in src/libmain/shared.cc of Nix.
    pub fn parse(printed: &str) -> Self {
        let mut missing = Self::default();
        let mut fetching = None;
        for line in printed.lines() {
            match line.strip_prefix("  /").map(|rest| format!("/{}", rest.trim_end())) {
                Some(path) => match fetching {
                    Some(true) => drop(missing.fetch.insert(StorePath::new(path))),
                    Some(false) => drop(missing.build.insert(DrvPath::new(path))),
                    None => {}
                },
                None if line.contains("will be built") => fetching = Some(false),
                None if line.contains("will be fetched") => {
                    fetching = Some(true);
                    let inside = line.split_once('(').map_or("", |(_, inside)| inside);
                    for part in inside.split(',') {
                        let size = size(part);
                        if part.contains("download") {
                            missing.download = size;
                        } else if part.contains("unpacked") {
                            missing.unpacked = size;
                        }
                    }
                }
                None => fetching = None,
            }
        }
        missing
    }
}

/// Parses a size such as `12.3 MiB download` to bytes; 0 if it cannot be parsed.
fn size(text: &str) -> u64 {
    let mut words = text.split_whitespace();
    let number: f64 = words.next().and_then(|word| word.parse().ok()).unwrap_or(0.0);
    let unit: u32 = match words.next() {
        Some("KiB") => 1,
        Some("MiB") => 2,
        Some("GiB") => 3,
        Some("TiB") => 4,
        _ => 0,
    };
    (number * 1024_f64.powi(unit.cast_signed())) as u64
}
