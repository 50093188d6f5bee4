//! The context of a command: the flake, Nix, and xtask's folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context as _, Result, bail};

use crate::fleet::args::Global;
use crate::fleet::eval_cache::EvalCache;
use crate::fleet::names::HostName;
use crate::nix::flake::{Flake, LOCK_OPTION};
use crate::nix::flake_ref;
use crate::nix::program::Nix;
use crate::system::{git, paths};
use crate::testbed::inputs as testbed;
use crate::testbed::revision::TestbedRevision;
use crate::ui::Ui;
use crate::ui::nearest::nearest;

pub struct Context {
    pub ui: Ui,
    pub home: PathBuf,
    pub flake: Flake,
    /// The flake's folder, if it is on this machine.
    root: Option<PathBuf>,
    /// The testbed's revision, if the testbed is used.
    revision: Option<TestbedRevision>,
    cache: OnceLock<Option<EvalCache>>,
    hosts: OnceLock<Vec<HostName>>,
}

impl Context {
    pub fn open(global: &Global, ui: &Ui) -> Result<Self> {
        Self::open_with(global, ui, global.testbed)
    }

    /// Like [`Self::open`], with the testbed selected by the command instead of the user.
    pub fn open_with(global: &Global, ui: &Ui, revision: Option<TestbedRevision>) -> Result<Self> {
        let home = paths::home()?;
        let mut nix = Nix::find(&home)?;
        let folder = match &global.flake {
            Some(reference) => flake_folder(Path::new(reference)),
            None => Some(paths::repository_root()?),
        };
        let (reference, root) = match (folder, &global.flake) {
            (Some(folder), _) => (flake_ref::of_folder(&folder, git::top(&folder)), Some(folder)),
            (None, Some(reference)) if reference.contains('#') => bail!(
                "--flake takes a flake without an attribute, not {reference}; hosts are arguments, \
                 such as `cargo xtask check HOST`"
            ),
            (None, Some(reference)) => (reference.clone(), local_root(reference)),
            (None, None) => bail!("no flake"),
        };
        // Nix must not write flake.lock: if it does not match flake.nix, that is a finding.
        let mut options = vec!["--no-write-lock-file".to_owned()];
        if let Some(revision) = revision {
            let Some(root) = &root else {
                bail!("--testbed needs a flake on this machine, and {reference} is not a folder");
            };
            let lock = testbed::lock_file(&nix, &home, root, revision)?;
            let lock = lock.to_str().context("the testbed's path is not UTF-8")?.to_owned();
            options.extend([LOCK_OPTION.to_owned(), lock]);
            nix.options.extend(testbed::NIX_OPTIONS.iter().map(|word| (*word).to_owned()));
        }
        let flake = Flake { nix, reference, options };
        let sources = root.clone().map(|root| &*Box::leak(root.into_boxed_path()));
        Ok(Self::new(Ui { sources, ..*ui }, home, flake, root, revision))
    }

    fn new(
        ui: Ui,
        home: PathBuf,
        flake: Flake,
        root: Option<PathBuf>,
        revision: Option<TestbedRevision>,
    ) -> Self {
        Self { ui, home, flake, root, revision, cache: OnceLock::new(), hosts: OnceLock::new() }
    }

    /// Returns the flake's folder, if it is on this machine.
    pub fn root(&self) -> Option<&Path> {
        self.root.as_deref()
    }

    /// Returns whether the testbed's stand-ins replace the inputs.
    pub fn in_testbed(&self) -> bool {
        self.revision.is_some()
    }

    /// Returns the lock file of the evaluation: flake.lock, or the testbed's.
    pub fn lock_file(&self) -> Option<PathBuf> {
        self.flake.reference_lock_file().or_else(|| Some(self.root()?.join("flake.lock")))
    }

    /// Returns this context with further options for Nix and without a cache.
    pub fn with_nix_options(&self, options: impl IntoIterator<Item = String>) -> Self {
        let mut flake = self.flake.clone();
        flake.nix.options.extend(options);
        Self::new(self.ui, self.home.clone(), flake, self.root.clone(), self.revision)
    }

    /// Returns this context for a temporary copy of the flake, which has its own lock file. It has
    /// no cache.
    pub fn of_copy(&self, reference: String) -> Self {
        let mut flake = Flake { reference, ..self.flake.clone() };
        if let Some(at) = flake.options.iter().position(|option| option == LOCK_OPTION) {
            flake.options.drain(at..at + 2);
        }
        Self::new(self.ui, self.home.clone(), flake, None, self.revision)
    }

    /// Returns the name of the testbed's revision, if the testbed is used.
    pub fn testbed(&self) -> Option<&'static str> {
        self.revision.map(TestbedRevision::name)
    }

    /// Returns the option for a command to print, such as ` --testbed`; empty without the testbed.
    pub fn testbed_option(&self) -> String {
        match self.revision {
            None => String::new(),
            Some(TestbedRevision::New) => " --testbed".to_owned(),
            Some(revision) => format!(" --testbed={}", revision.name()),
        }
    }

    /// Returns the flake's evaluation cache, if the flake is a folder on this machine.
    pub fn cache(&self) -> Option<&EvalCache> {
        self.cache.get_or_init(|| self.open_eval_cache()).as_ref()
    }

    /// Ignores the cached results of earlier runs. Has no effect after the first use of the cache.
    pub fn ignore_cache(&self) {
        self.cache.get_or_init(|| {
            let mut cache = self.open_eval_cache()?;
            cache.forget();
            Some(cache)
        });
    }

    fn open_eval_cache(&self) -> Option<EvalCache> {
        let revision = self.testbed().unwrap_or("real");
        Some(EvalCache::open(&self.flake, &self.home, self.root.as_ref()?, revision))
    }

    /// Returns all hosts of the flake.
    pub fn all_hosts(&self) -> Result<&[HostName]> {
        if let Some(hosts) = self.hosts.get() {
            return Ok(hosts);
        }
        let hosts = match self.cache().and_then(EvalCache::hosts) {
            Some(cached) => cached,
            None => self.flake.hosts()?,
        };
        Ok(self.hosts.get_or_init(|| hosts))
    }

    /// Returns the requested hosts, or all if none is named.
    ///
    /// # Errors
    /// The flake has no hosts, or none of this name; the error suggests the nearest name.
    pub fn hosts(&self, names: &[String]) -> Result<Vec<HostName>> {
        let known = self.all_hosts()?;
        if known.is_empty() {
            bail!(
                "the flake {} has no hosts: its nixosConfigurations are missing or empty; `cargo \
                 xtask new-host NAME` adds one to a fleet with a hosts/default.nix",
                self.flake.reference
            );
        }
        let mut chosen = vec![];
        for name in names {
            let host = HostName::new(name.clone());
            if !known.contains(&host) {
                bail!(unknown_host(name, known));
            }
            if !chosen.contains(&host) {
                chosen.push(host);
            }
        }
        Ok(if names.is_empty() { known.to_vec() } else { chosen })
    }
}

pub fn unknown_host(name: &str, known: &[HostName]) -> String {
    let names: Vec<&str> = known.iter().map(HostName::as_str).collect();
    let hint = nearest(name, names.iter().copied())
        .map(|near| format!("; did you mean {near}?"))
        .unwrap_or_else(|| ".".to_owned());
    format!("this flake has no host {name:?}{hint} It has: {}", names.join(", "))
}

/// Returns the command that finds the commit between two revisions that broke a host.
pub fn bisect_command(
    testbed: &str,
    input: Option<&str>,
    good: &str,
    bad: &str,
    host: Option<&str>,
    by: &str,
) -> String {
    let option = |name, value: Option<&str>| {
        value.map(|value| format!(" --{name} {value}")).unwrap_or_default()
    };
    format!(
        "cargo xtask bisect{testbed}{} --good {good} --bad {bad}{} --by {by}",
        option("input", input),
        option("host", host),
    )
}

/// Returns the folder's canonical path if it contains a flake.nix. Takes precedence over other
/// meanings of the name for Nix.
fn flake_folder(folder: &Path) -> Option<PathBuf> {
    fs::canonicalize(folder).ok().filter(|folder| folder.join("flake.nix").is_file())
}

/// Returns the folder of a flake reference, if it is a flake on this machine.
pub fn local_root(reference: &str) -> Option<PathBuf> {
    flake_folder(&flake_ref::local_path(reference)?)
}
