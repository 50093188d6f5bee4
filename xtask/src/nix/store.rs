//! Queries the Nix store: which paths are valid or missing, and their sizes. Copies paths to
//! another store.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};

use crate::nix::names::{DrvPath, StorePath};
use crate::nix::program::Nix;
use crate::system::process::{self, Captured, Invocation};
use crate::ui::sanitize::sanitize;

/// Timeout of a query to another store.
const TIMEOUT: Duration = Duration::from_secs(60);
const GRACE: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathInfo {
    pub closure_size: Option<u64>,
}

/// Returns the objects that `nix path-info --json` prints about valid paths.
fn path_info(call: &Invocation, timeout: Option<Duration>) -> Result<Vec<(StorePath, Value)>> {
    let output = process::capture(call, timeout)?;
    if !output.exit.ok() && output.stdout.is_empty() {
        bail!("`{call}`: {}: {}", output.exit, sanitize(output.stderr_text().trim()));
    }
    let table: Map<String, Value> = serde_json::from_str(&output.stdout_text())
        .with_context(|| format!("`{call}` printed no table of paths"))?;
    // Nix prints `null` for what is not valid; some versions then also exit with 1.
    let valid = table.into_iter().filter(|(_, info)| !info.is_null());
    Ok(valid.map(|(path, info)| (StorePath::new(path), info)).collect())
}

/// Returns the valid paths among these, with the size of their closure in bytes.
pub fn valid(nix: &Nix, paths: &BTreeSet<StorePath>) -> Result<HashMap<StorePath, PathInfo>> {
    if paths.is_empty() {
        return Ok(HashMap::new());
    }
    let call = nix.command(["path-info", "--json", "--closure-size", "--offline"]);
    let call = call.args(paths.iter().map(StorePath::as_str)).for_the_report();
    let table = path_info(&call, None)?.into_iter();
    let info = |info: Value| PathInfo { closure_size: info["closureSize"].as_u64() };
    Ok(table.map(|(path, value)| (path, info(value))).collect())
}

/// Returns what `nix path-info` prints about each path in the closure of valid paths.
pub(crate) fn closure_info(nix: &Nix, paths: &[&str]) -> Result<Vec<(StorePath, Value)>> {
    let call = nix.command(["path-info", "--json", "--recursive", "--offline"]);
    path_info(&call.args(paths.iter().copied()).for_the_report(), None)
}

/// Returns the closure of a valid path, with the size of each path in bytes.
pub fn closure(nix: &Nix, path: &StorePath) -> Result<Vec<(StorePath, u64)>> {
    let closure = closure_info(nix, &[path.as_str()])?.into_iter();
    Ok(closure.map(|(path, info)| (path, info["narSize"].as_u64().unwrap_or(0))).collect())
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
    let output = process::capture(&call, None)?;
    if !output.exit.ok() {
        bail!("`{call}`: {}\n{}", output.exit, sanitize(output.stderr_text().trim()));
    }
    Ok(Missing::parse(&output.stderr_text()))
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
    let info = path_info(&call, Some(TIMEOUT))?.pop();
    Ok(info.map(|(_, info)| {
        let signatures = info["signatures"].as_array().into_iter().flatten();
        let names = signatures.filter_map(|it| it.as_str()?.split(':').next());
        names.map(str::to_owned).collect()
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
