//! The answers of earlier evaluations, under `eval/` of xtask's folder: read where they
//! still stand, written when an evaluation saw one tree from beginning to end.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::fleet::names::HostName;
use crate::nix::cache_key::{Snapshot, Stored};
use crate::nix::flake::Flake;
use crate::nix::snapshot;
use crate::system::{disk, files};

/// What is known of a flake from earlier runs.
#[derive(Debug)]
pub struct EvalCache {
    file: PathBuf,
    home: PathBuf,
    root: PathBuf,
    /// As it was when this run began; why there is none.
    now: Result<Snapshot, String>,
    /// What still stands; why nothing does.
    kept: Result<Stored, String>,
}

impl EvalCache {
    pub fn open(flake: &Flake, home: &Path, root: &Path, revision: &str) -> Self {
        let file = file_of(home, root, revision);
        let now = snapshot::take(flake, home, root).map_err(|error| format!("{error:#}"));
        let kept = now.as_ref().map_err(Clone::clone).and_then(|now| load(&file, now));
        Self { file, home: home.to_owned(), root: root.to_owned(), now, kept }
    }

    /// As if nothing were kept.
    pub fn forget(&mut self) {
        self.kept = Err("--no-cache".to_owned());
    }

    pub fn hosts(&self) -> Option<Vec<HostName>> {
        let kept = self.kept.as_ref().ok()?;
        Some(kept.hosts.iter().map(HostName::new).collect())
    }

    pub fn answer(&self, host: &HostName) -> Option<&Value> {
        let answer = self.kept.as_ref().ok()?.answers.get(host.as_str())?;
        // What was collected as garbage must be made again.
        let in_store = |drv: &Value| drv.as_str().is_some_and(|drv| Path::new(drv).exists());
        answer.get("drvPath").is_none_or(in_store).then_some(answer)
    }

    /// How many hosts have an answer that stands, of how many; or why none has.
    pub fn state(&self) -> Result<(usize, usize), &str> {
        match &self.kept {
            Ok(kept) => Ok((kept.answers.len(), kept.hosts.len())),
            Err(why) => Err(why),
        }
    }

    /// Keeps new answers beside those that stand, unless something changed meanwhile.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn keep(
        &self,
        flake: &Flake,
        hosts: Vec<String>,
        answers: BTreeMap<String, Value>,
    ) -> Result<()> {
        let Ok(before) = &self.now else { return Ok(()) };
        let after = snapshot::take(flake, &self.home, &self.root);
        if answers.is_empty() || after.ok().as_ref() != Some(before) {
            return Ok(());
        }
        let mut all = match load(&self.file, before) {
            Ok(kept) => kept.answers,
            Err(_) => BTreeMap::new(),
        };
        all.extend(answers);
        let stored = Stored { snapshot: before.clone(), hosts, answers: all };
        if let Some(folder) = self.file.parent() {
            disk::create(folder)?;
            forget_old(folder);
        }
        let text =
            serde_json::to_string(&stored).context("cannot serialize the evaluation cache")?;
        files::write_atomically(&self.file, text.as_bytes())
    }
}

fn file_of(home: &Path, root: &Path, revision: &str) -> PathBuf {
    let name = files::safe_name(&format!("{}-{revision}", root.display()));
    home.join("eval").join(name + ".json")
}

/// The newest evaluation of this folder, current or not.
pub fn newest(home: &Path, root: &Path) -> Option<Stored> {
    let files = ["real", "new", "old"].map(|revision| file_of(home, root, revision));
    let written = |file: &PathBuf| fs::metadata(file).and_then(|about| about.modified()).ok();
    let newest = files.iter().filter_map(|file| Some((written(file)?, file))).max()?;
    serde_json::from_str(&fs::read_to_string(newest.1).ok()?).ok()
}

/// Fleets that were not evaluated for long are gone, or cost little to ask again.
fn forget_old(folder: &Path) {
    const LONG: Duration = Duration::from_secs(30 * 24 * 3600);
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let written = entry.metadata().and_then(|about| about.modified()).ok();
        if written.and_then(|time| time.elapsed().ok()).is_some_and(|age| age > LONG) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn load(file: &Path, now: &Snapshot) -> Result<Stored, String> {
    let text =
        fs::read_to_string(file).map_err(|_| "there is no evaluation cache yet".to_owned())?;
    let stored: Stored = serde_json::from_str(&text).map_err(|_| {
        "another version of xtask wrote the evaluation \
                                                 cache"
            .to_owned()
    })?;
    match stored.snapshot.differs(now) {
        Some(why) => Err(why),
        None => Ok(stored),
    }
}
