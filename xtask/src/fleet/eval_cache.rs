//! The evaluation cache, in `eval/` of xtask's folder. Results are used if they are still valid,
//! and stored if the fleet did not change during the evaluation.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use clap::ValueEnum as _;
use serde_json::Value;

use crate::fleet::names::HostName;
use crate::nix::cache_key::{Snapshot, Stored};
use crate::nix::flake::Flake;
use crate::nix::snapshot;
use crate::system::{disk, files};
use crate::testbed::revision::TestbedRevision;

/// The cached results of a flake.
#[derive(Debug)]
pub struct EvalCache {
    file: PathBuf,
    home: PathBuf,
    root: PathBuf,
    /// The fleet's files at the start of this run, or why they are unknown.
    now: Result<Snapshot, String>,
    /// The valid results, or why there are none.
    stored: Result<Stored, String>,
}

impl EvalCache {
    pub fn open(flake: &Flake, home: &Path, root: &Path, revision: &str) -> Self {
        let file = file_of(home, root, revision);
        let now = snapshot::take(flake, home, root).map_err(|error| format!("{error:#}"));
        let stored = now.as_ref().map_err(Clone::clone).and_then(|now| load(&file, now));
        Self { file, home: home.to_owned(), root: root.to_owned(), now, stored }
    }

    /// Discards the stored results for this run.
    pub fn forget(&mut self) {
        self.stored = Err("--no-cache".to_owned());
    }

    pub fn hosts(&self) -> Option<Vec<HostName>> {
        let stored = self.stored.as_ref().ok()?;
        Some(stored.hosts.iter().map(HostName::new).collect())
    }

    pub fn result(&self, host: &HostName) -> Option<&Value> {
        let result = self.stored.as_ref().ok()?.results.get(host.as_str())?;
        // A derivation that was collected as garbage must be evaluated again.
        let in_store = |drv: &Value| drv.as_str().is_some_and(|drv| Path::new(drv).exists());
        result.get("drvPath").is_none_or(in_store).then_some(result)
    }

    /// Returns the number of hosts with a valid result and of all hosts, or why there is no result.
    pub fn state(&self) -> Result<(usize, usize), &str> {
        match &self.stored {
            Ok(stored) => Ok((stored.results.len(), stored.hosts.len())),
            Err(why) => Err(why),
        }
    }

    /// Adds new results to the valid ones, unless the fleet changed meanwhile.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn store(
        &self,
        flake: &Flake,
        hosts: Vec<String>,
        results: BTreeMap<String, Value>,
    ) -> Result<()> {
        let Ok(before) = &self.now else { return Ok(()) };
        let after = snapshot::take(flake, &self.home, &self.root);
        if results.is_empty() || after.ok().as_ref() != Some(before) {
            return Ok(());
        }
        let mut all = load(&self.file, before).map(|it| it.results).unwrap_or_default();
        all.extend(results);
        let stored = Stored { snapshot: before.clone(), hosts, results: all };
        let folder = disk::folder_of(&self.file);
        disk::create(folder)?;
        // Removes fleets that were not evaluated for a month.
        files::prune(folder, 1, Duration::from_secs(30 * 24 * 3600), |_| true);
        let text =
            serde_json::to_string(&stored).context("cannot serialize the evaluation cache")?;
        files::write_atomically(&self.file, text.as_bytes())
    }
}

fn file_of(home: &Path, root: &Path, revision: &str) -> PathBuf {
    let name = format!("{}-{revision}", files::path_name(root));
    home.join("eval").join(name + ".json")
}

/// Returns the newest evaluation of this fleet, valid or not.
pub fn newest(home: &Path, root: &Path) -> Option<Stored> {
    serde_json::from_str(&fs::read_to_string(newest_file(home, root)?.1).ok()?).ok()
}

/// Returns the time of the newest evaluation of this fleet.
pub fn written(home: &Path, root: &Path) -> Option<SystemTime> {
    newest_file(home, root).map(|(written, _)| written)
}

fn newest_file(home: &Path, root: &Path) -> Option<(SystemTime, PathBuf)> {
    let testbed = TestbedRevision::value_variants().iter().map(|revision| revision.name());
    let files = testbed.chain(["real"]).map(|revision| file_of(home, root, revision));
    let written = |file: &PathBuf| fs::metadata(file).and_then(|about| about.modified()).ok();
    files.filter_map(|file| Some((written(&file)?, file))).max()
}

fn load(file: &Path, now: &Snapshot) -> Result<Stored, String> {
    let text = fs::read_to_string(file).map_err(|_| "there is no evaluation cache yet")?;
    let stored: Stored = serde_json::from_str(&text)
        .map_err(|_| "another version of xtask wrote the evaluation cache")?;
    stored.snapshot.difference(now).map_or(Ok(stored), Err)
}
